// Signs and verifies webhooks with the packages their senders publish, and Ed25519 with Node's own crypto. Reads a JSON object a line, writes one a
// line: {"do": "verify", ...} becomes {"accepted": true}, {"do": "sign", ...} becomes {"headers": {...}}. NODE_PATH says where the packages are.
const crypto = require("node:crypto");
const readline = require("node:readline");
const standard = require("standardwebhooks");
const svix = require("svix");
const Stripe = require("stripe");

const stripe = new (Stripe.default ?? Stripe)("sk_test_unused");

// 32 bytes in the frame of PKCS #8 and of SubjectPublicKeyInfo (RFC 8410).
const der = (prefix, text) => Buffer.concat([Buffer.from(prefix, "hex"), Buffer.from(text.slice(5), "base64").subarray(0, 32)]);
const privateKey = (whsk) => crypto.createPrivateKey({ key: der("302e020100300506032b657004220420", whsk), format: "der", type: "pkcs8" });
const publicKey = (whpk) => crypto.createPublicKey({ key: der("302a300506032b6570032100", whpk), format: "der", type: "spki" });

async function verify({ scheme, secret, headers, body }, octokit) {
  try {
    switch (scheme) {
      case "standard-webhooks":
        new standard.Webhook(secret).verify(body, headers);
        return true;
      case "svix":
        new svix.Webhook(secret).verify(body, headers);
        return true;
      case "stripe":
        stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret);
        return true;
      case "github":
        return await octokit.verify(secret, body, headers["x-hub-signature-256"]);
      case "ed25519": {
        const text = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
        const [version, signature] = headers["webhook-signature"].split(",");
        return version === "v1a" && crypto.verify(null, Buffer.from(text), publicKey(secret), Buffer.from(signature, "base64"));
      }
    }
  } catch (error) {
    if (/WebhookVerificationError|StripeSignatureVerificationError/.test(error.name + error.constructor.name + error.type)) return false;
    throw error;
  }
  throw new Error(`unknown scheme ${scheme}`);
}

async function sign({ scheme, secret, id, now, body }, octokit) {
  const family = (name, signature) => ({ [`${name}-id`]: id, [`${name}-timestamp`]: String(now), [`${name}-signature`]: signature });
  const at = new Date(now * 1000);
  switch (scheme) {
    case "standard-webhooks":
      return family("webhook", new standard.Webhook(secret).sign(id, at, body));
    case "svix":
      return family("svix", new svix.Webhook(secret).sign(id, at, body));
    case "stripe":
      return { "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: now }) };
    case "github":
      return { "x-hub-signature-256": await octokit.sign(secret, body) };
    case "ed25519": {
      const signature = crypto.sign(null, Buffer.from(`${id}.${now}.${body}`), privateKey(secret)).toString("base64");
      return family("webhook", `v1a,${signature}`);
    }
  }
  throw new Error(`unknown scheme ${scheme}`);
}

(async () => {
  // The only one that is no CommonJS module: found by its path.
  const octokit = await import(`${process.env.NODE_PATH}/@octokit/webhooks-methods/dist-node/index.js`);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const message = JSON.parse(line);
    const answer = message.do === "verify" ? { accepted: await verify(message, octokit) } : { headers: await sign(message, octokit) };
    console.log(JSON.stringify(answer));
  }
})();
