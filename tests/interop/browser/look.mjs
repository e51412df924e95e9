// Looks at pages of a running daemon with a real browser, at the width of a desk and of a telephone: what the console says, what is asked of other hosts,
// whether the page is wider than the window, whether Tab reaches everything and shows where it is, and what axe finds. Writes a screenshot of each page, and
// everything that is wrong as one JSON array to standard output. It changes nothing.
//
//   node look.mjs TOOLS CHROMIUM BASE-URL SCREENSHOTS NAME=PATH...

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [tools, chromium, base, screenshots, ...pages] = process.argv.slice(2);
const require = createRequire(path.join(tools, "node_modules", "x.js"));
const { default: puppeteer } = await import(new URL(`file://${require.resolve("puppeteer-core")}`));
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const WIDTHS = [1280, 390];
const MOST_TABS = 1500;
// What is open to the keyboard, and seen.
const REACHABLE = "a[href], button, select, input:not([type=hidden]), summary, [tabindex='0']";

const wrong = [];
const browser = await puppeteer.launch({
  executablePath: chromium,
  // Tests may run as root, and in containers with little shared memory; nothing but our own pages is opened.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"],
  headless: true,
});
try {
  for (const given of pages) {
    const [name, ...rest] = given.split("=");
    const where = rest.join("=");
    for (const width of WIDTHS) {
      const said = (what) => wrong.push(`${where} at ${width} px: ${what}`);
      const page = await browser.newPage();
      await page.setViewport({ width, height: 900 });
      page.on("console", (m) => ["error", "warn"].includes(m.type()) && said(`console: ${m.text()}`));
      page.on("pageerror", (e) => said(`error: ${e.message}`));
      page.on("request", (r) => !r.url().startsWith(base) && !r.url().startsWith("data:") && said(`asks ${r.url()}`));
      const response = await page.goto(base + where, { waitUntil: "load" });
      if (response.status() !== 200) said(`answers ${response.status()}`);
      await page.screenshot({ path: path.join(screenshots, `${name}-${width}.png`), fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) said(`it is ${wide} px wider than the window`);
      await keyboard(page, said);
      // The page's policy allows no script; the tool that judges it is no part of it, so it is put beside it.
      await page.evaluate(axe);
      const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      for (const v of found.violations.filter((v) => ["serious", "critical"].includes(v.impact))) {
        said(`axe: ${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
      }
      await page.close();
    }
  }
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(wrong) + "\n");

// Tab goes through everything once, and it is seen where it is.
async function keyboard(page, said) {
  const all = await page.evaluate((reachable) => {
    const seen = [...document.querySelectorAll(reachable)].filter((e) => e.checkVisibility());
    seen.forEach((e, n) => e.setAttribute("data-look", n));
    return seen.map((e) => e.outerHTML.slice(0, 120));
  }, REACHABLE);
  const reached = new Set();
  for (let n = 0; n < Math.min(all.length + 5, MOST_TABS); n++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      const style = getComputedStyle(e);
      const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
      return { n: e.getAttribute("data-look"), shown, html: e.outerHTML.slice(0, 120) };
    });
    if (!at) continue;
    if (!at.shown) said(`no outline shows the focus of ${at.html}`);
    reached.add(Number(at.n));
  }
  const missed = all.filter((_, n) => !reached.has(n));
  if (missed.length > 0) said(`Tab does not reach ${missed.length} of ${all.length}: ${missed.slice(0, 3).join(" | ")}`);
}
