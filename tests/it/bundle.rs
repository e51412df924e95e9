//! Evidence bundles: the same store and time give the same bytes, every changed byte is caught, and the answer follows from the runs alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use soakwatch::bundle::key::{PublicKey, SigningKey};
use soakwatch::bundle::manifest::Manifest;
use soakwatch::bundle::{Content, Unreadable, verify, write_bundle};
use soakwatch::clock::UnixMs;
use soakwatch::evidence::{Hash, canonical};
use soakwatch::outcome::Outcome;
use soakwatch::readiness::assemble;
use soakwatch::soak::gate::Answer;
use soakwatch::store::Reader;

use crate::support::daemon::{output, soakwatch};
use crate::support::soaked::{END, START, Soaked};

const FILES: [&str; 5] = ["evidence.json", "manifest.json", "report.html", "report.md", "runs.csv.zst"];

/// An environment, and the bundle that was written of it.
struct Bundled {
    soaked: Soaked,
    key: SigningKey,
    dir: PathBuf,
}

impl Bundled {
    fn of(soaked: Soaked) -> Self {
        let (key, dir) = (SigningKey::fresh().unwrap(), soaked.dir.path().join("bundle"));
        let this = Self { soaked, key, dir };
        this.write(&this.dir, Some(&this.key));
        this
    }

    fn write(&self, dir: &Path, key: Option<&SigningKey>) -> Answer {
        let (config, reader) = (self.soaked.config(), Reader::open(&self.soaked.store()).unwrap());
        let (situation, log) = assemble(&config, &reader, "acme", "production", END).unwrap();
        let content = Content { situation, log };
        let written = write_bundle(content, &mut |check, w| reader.runs(&check.check, 0, w.start, w.end), dir, key).unwrap();
        written.gate.answer
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).unwrap()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.dir.join(name), bytes).unwrap();
    }

    fn findings(&self, key: Option<&PublicKey>) -> Vec<String> {
        verify(&self.dir, key).unwrap().findings
    }

    /// Makes the manifest fit the files again, and signs it: what somebody with a key of their own can do.
    fn forge(&self, key: Option<&SigningKey>) {
        let mut manifest: Manifest = serde_json::from_slice(&self.bytes("manifest.json")).unwrap();
        for file in &mut manifest.files {
            let bytes = self.bytes(&file.name);
            (file.bytes, file.sha256) = (bytes.len() as u64, Hash::of(&bytes));
        }
        manifest.signature = None;
        self.put("manifest.json", &canonical(&manifest.signed(key).unwrap()).unwrap());
    }

    fn csv(&self) -> String {
        String::from_utf8(zstd::decode_all(self.bytes("runs.csv.zst").as_slice()).unwrap()).unwrap()
    }

    fn put_csv(&self, text: &str) {
        self.put("runs.csv.zst", &zstd::encode_all(text.as_bytes(), 3).unwrap());
    }

    /// Changes a text in evidence.json.
    fn edit(&self, from: &str, to: &str) {
        let text = String::from_utf8(self.bytes("evidence.json")).unwrap();
        // What was judged comes after the answer, and the log after that.
        let (answer, rest) = text.split_at(if from.contains("answer") { 0 } else { text.find("\"given\":").unwrap() });
        assert!(rest.contains(from), "{from}");
        self.put("evidence.json", format!("{answer}{}", rest.replacen(from, to, 1)).as_bytes());
    }
}

/// A small generator with a seed: the same edits each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

#[test]
fn a_whole_bundle_is_whole_and_says_what_the_store_says() {
    let b = Bundled::of(Soaked::new());
    let verified = verify(&b.dir, Some(&b.key.public())).unwrap();
    assert_eq!(verified.findings, [] as [String; 0]);
    assert_eq!(verified.gate.map(|g| g.answer), Some(Answer::Go));
    assert!(verified.lines > 1_800, "{}", verified.lines);
    assert_eq!(b.findings(None), [] as [String; 0]);
    // Nothing of other customers, and no address.
    for name in ["evidence.json", "report.html", "report.md"] {
        let text = String::from_utf8(b.bytes(name)).unwrap();
        for other in ["zeta", "token-of", "example.com"] {
            assert!(!text.contains(other), "{name} holds {other}");
        }
        assert!(text.contains("uat_signoff") && text.contains("b.boss"), "{name}");
    }
    let page = String::from_utf8(b.bytes("report.html")).unwrap();
    assert!(page.contains("Acme") || page.contains("crm-orders"));
    for from_outside in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(from_outside), "{from_outside}");
    }
}

#[test]
fn the_same_store_and_time_give_the_same_bytes() {
    let b = Bundled::of(Soaked::new());
    let again = b.soaked.dir.path().join("again");
    b.write(&again, Some(&b.key));
    for name in FILES {
        assert_eq!(b.bytes(name), std::fs::read(again.join(name)).unwrap(), "{name}");
    }
    // Also after more was recorded: the time asked for is over.
    let config = b.soaked.config();
    let later = soakwatch::evidence::Entry::new(
        UnixMs(END.0 + 60_000),
        soakwatch::evidence::Kind::DaemonStopped,
        soakwatch::evidence::Scope::daemon(),
        "soakwatch",
        serde_json::Value::Null,
    );
    soakwatch::store::Store::open(&b.soaked.store()).unwrap().append_evidence(&[later]).unwrap();
    assert!(config.checks().count() > 0);
    let third = b.soaked.dir.path().join("third");
    b.write(&third, Some(&b.key));
    assert_eq!(b.bytes("manifest.json"), std::fs::read(third.join("manifest.json")).unwrap());
}

#[test]
fn a_thousand_changed_bytes_are_caught() {
    let b = Bundled::of(Soaked::new());
    let public = b.key.public();
    let mut random = Random(42);
    let whole: Vec<Vec<u8>> = FILES.iter().map(|name| b.bytes(name)).collect();
    for n in 0..1_000 {
        let (name, original) = (FILES[n % FILES.len()], &whole[n % FILES.len()]);
        let mut bytes = original.clone();
        let at = random.below(bytes.len());
        let byte = u8::try_from(random.below(256)).unwrap();
        bytes[at] = if bytes[at] == byte { byte ^ 1 } else { byte };
        b.put(name, &bytes);
        let said = b.findings(if n % 2 == 0 { Some(&public) } else { None });
        assert!(said.iter().any(|f| f.contains(name)), "byte {at} of {name} became {byte}: {said:?}");
        b.put(name, original);
    }
    assert_eq!(b.findings(Some(&public)), [] as [String; 0]);
}

#[test]
fn a_run_that_was_left_out_is_named() {
    let b = Bundled::of(Soaked::new());
    let text = b.csv();
    let failing = text.lines().find(|l| l.contains(",fail,")).unwrap().to_owned();
    let slot = failing.split(',').nth(1).unwrap().to_owned();
    b.put_csv(&text.replacen(&format!("{failing}\n"), "", 1));
    b.forge(Some(&b.key));
    let said = b.findings(None).join("\n");
    assert!(said.contains(&slot) && said.contains("lines"), "{slot}: {said}");
    assert!(said.contains("counts.fail: "), "{said}");

    // A run that was made better.
    b.put_csv(&text.replacen(&failing, &failing.replace(",fail,server_error,,third_party,", ",pass,,,,"), 1));
    b.forge(Some(&b.key));
    assert!(b.findings(None).join("\n").contains("gate.integrations[0]"), "{:?}", b.findings(None));
    // And one that was put in: after the last, of another check, out of order, outside of the window.
    let last = text.lines().last().unwrap();
    let (first_slot, before) = ("2025-01-06T08:", "2025-01-06T07:");
    for (text, want) in [
        (format!("{text}{last}\n"), "does not come after"),
        (format!("{text}{}\n", last.replace("/send,", "/sent,")), "a check that does not come here"),
        (text.replacen(first_slot, before, 1), "outside of the window"),
        (text.replacen(",30000,1,", ",30000,01,", 1), "count is not a number"),
        (format!("{text}x"), "does not end"),
        (text.replacen("check,slot", "slot,check", 1), "does not name the columns"),
    ] {
        b.put_csv(&text);
        b.forge(Some(&b.key));
        assert!(b.findings(None).join("\n").contains(want), "{want}: {:?}", b.findings(None));
    }
}

#[test]
fn an_edited_number_is_named_whoever_signs() {
    let edits = [
        ("\"answer\":\"go\"", "\"answer\":\"no_go\"", "gate.answer: \"no_go\", not \"go\""),
        ("\"success_ratio\":0.99,", "\"success_ratio\":0.98,", "threshold"),
        ("\"coverage\":0.95,", "\"coverage\":0.5,", "threshold"),
        ("\"since\":\"2025-01-06T08:00:00.000Z\"", "\"since\":\"2025-01-06T09:00:00.000Z\"", "since of acme/production/crm-orders"),
        ("\"value\":\"passed\"}],", "\"value\":\"great\"}],", "attestations of acme"),
        (
            "\"exclusions\":[]",
            "\"exclusions\":[{\"at\":\"2025-01-06T08:00:00.000Z\",\"by\":\"x\",\"check\":null,\"from\":\"2025-01-06T08:00:00.000Z\",\"reason\":\"\",\"remark\":null,\"seq\":1,\"to\":\"2025-01-06T09:00:00.000Z\"}]",
            "exclusions of acme",
        ),
        ("\"actor\":\"a-tester\"", "\"actor\":\"b-tester\"", "evidence record 6 was changed"),
        ("\"superseded\":false", "\"superseded\":true", "gate.integrations[0].answer"),
    ];
    for (from, to, want) in edits {
        let b = Bundled::of(Soaked::new());
        b.edit(from, to);
        b.forge(Some(&b.key));
        let said = b.findings(Some(&b.key.public())).join("\n");
        assert!(said.contains(want), "{from} -> {to}: {said}");
    }
    // A page that says something else than the evidence.
    let b = Bundled::of(Soaked::new());
    let page = String::from_utf8(b.bytes("report.md")).unwrap();
    b.put("report.md", page.replacen("**go**", "**go!**", 1).as_bytes());
    b.forge(Some(&b.key));
    assert_eq!(b.findings(None), ["report.md does not say what evidence.json says"]);
}

#[test]
fn records_of_the_log_can_not_be_dropped_changed_or_lent() {
    let b = Bundled::of(Soaked::new());
    let text = String::from_utf8(b.bytes("evidence.json")).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let records = document["log"]["records"].as_array().unwrap().clone();
    assert!(records[2].get("record").is_none(), "another customer's record is a hash alone");
    let with = |document: &mut serde_json::Value, records: Vec<serde_json::Value>| {
        document["log"]["records"] = records.into();
        b.put("evidence.json", &canonical(&*document).unwrap());
        b.forge(Some(&b.key));
        b.findings(None).join("\n")
    };
    assert!(with(&mut document, records[1..].to_vec()).contains("evidence record 1 is missing"));
    assert!(with(&mut document, records[..3].to_vec()).contains("the chain of its records ends at"));
    let mut swapped = records.clone();
    swapped.swap(3, 4);
    assert!(!with(&mut document, swapped).is_empty());
    let mut blanked = records;
    blanked[5].as_object_mut().unwrap().remove("record");
    assert!(with(&mut document, blanked).contains("attestations of"));
}

#[test]
fn another_signer_is_told() {
    let b = Bundled::of(Soaked::new());
    let other = SigningKey::fresh().unwrap();
    b.forge(Some(&other));
    assert_eq!(b.findings(None), [] as [String; 0], "whole in itself");
    assert!(b.findings(Some(&b.key.public())).join("\n").contains("signed with another key"));
    b.forge(None);
    assert!(b.findings(Some(&b.key.public())).join("\n").contains("it is not signed"));
    assert_eq!(b.findings(None), [] as [String; 0]);
}

#[test]
fn files_that_are_none_are_told_and_cost_little() {
    let b = Bundled::of(Soaked::new());
    let public = b.key.public();
    let runs = b.bytes("runs.csv.zst");
    // A bomb: four GiB of nothing in a few hundred KiB.
    let mut bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
    for _ in 0..64 {
        bomb.write_all(&[b'a'; 1 << 20]).unwrap();
    }
    b.put("runs.csv.zst", &bomb.finish().unwrap());
    assert!(b.findings(None).join("\n").contains("runs.csv.zst"));
    b.put("runs.csv.zst", &runs[..runs.len() / 2]);
    assert!(b.findings(None).join("\n").contains("runs.csv.zst"));
    b.put("runs.csv.zst", &runs);
    let evidence = b.bytes("evidence.json");
    b.put("evidence.json", "[".repeat(1 << 20).as_bytes());
    assert!(b.findings(None).join("\n").contains("evidence.json can't be read"));
    b.put("evidence.json", &evidence);

    std::fs::write(b.dir.join("more.txt"), "x").unwrap();
    assert!(b.findings(Some(&public)).join("\n").contains("more.txt is no part"));
    std::fs::remove_file(b.dir.join("more.txt")).unwrap();
    std::fs::remove_file(b.dir.join("report.md")).unwrap();
    assert!(b.findings(Some(&public)).join("\n").contains("report.md is missing"));
    std::fs::remove_file(b.dir.join("manifest.json")).unwrap();
    assert!(matches!(verify(&b.dir, None), Err(Unreadable::NoBundle { .. })));
    assert!(matches!(verify(&b.dir.join("gone"), None), Err(Unreadable::NoBundle { .. })));
    // Nothing is written over something.
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| b.write(&b.dir, None)));
    assert!(failed.is_err());
}

#[test]
fn a_bad_soak_is_written_and_verified_alike() {
    let soaked = Soaked::with("", |id, runs| {
        if id.check() == "send" {
            runs.iter_mut().filter(|r| r.outcome == Outcome::Pass && r.slot > START).step_by(20).for_each(|r| r.outcome = Outcome::Fail);
        }
    });
    let b = Bundled::of(soaked);
    let verified = verify(&b.dir, Some(&b.key.public())).unwrap();
    assert_eq!((verified.findings.len(), verified.gate.map(|g| g.answer)), (0, Some(Answer::NoGo)));
}

#[test]
fn the_commands_and_their_exit_codes() {
    let soaked = Soaked::with("[evidence]\nsigning_key = { file = \"key.pem\" }\n", |_, _| {});
    let (dir, out) = (soaked.dir.path(), soaked.dir.path().join("bundle"));
    let key = output(soakwatch().args(["keygen", "--out"]).arg(dir.join("key.pem")));
    assert_eq!(key.status.code(), Some(0), "{}", String::from_utf8_lossy(&key.stderr));
    assert_eq!(output(soakwatch().args(["keygen", "--out"]).arg(dir.join("key.pem"))).status.code(), Some(74));
    let at = END.to_string();
    let report = |id: &str| {
        output(soakwatch().args(["report", id, "--at", &at, "--config"]).arg(dir).arg("--out").arg(&out).env("TZ", "Asia/Tokyo"))
    };
    let made = report("acme/production");
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(String::from_utf8_lossy(&made.stdout).starts_with("acme/production: go as of 2025-01-06T14:00:00Z"));
    assert_eq!(report("acme/production").status.code(), Some(74), "the directory is not empty");
    assert_eq!(report("acme/nowhere").status.code(), Some(65));
    assert_eq!(report("acme").status.code(), Some(64));

    let check = |key: Option<&str>| {
        let mut command = soakwatch();
        command.arg("verify").arg(&out);
        if let Some(k) = key {
            command.arg("--key").arg(k);
        }
        let done = output(&mut command);
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let public = dir.join("key.pem.pub").display().to_string();
    assert_eq!(check(Some(&public)).0, Some(0));
    let (code, said) = check(None);
    assert_eq!(code, Some(2));
    assert!(said.contains("integrity only, signer unknown"), "{said}");
    let hex = String::from_utf8_lossy(&key.stdout).lines().find_map(|l| l.strip_prefix("public key  ").map(str::to_owned)).unwrap();
    assert_eq!(check(Some(&hex)).0, Some(0));
    assert_eq!(check(Some(&"0".repeat(64))).0, Some(1));
    assert_eq!(check(Some("/nowhere")).0, Some(65));
    std::fs::write(out.join("report.md"), "x").unwrap();
    let (code, said) = check(None);
    assert_eq!(code, Some(1));
    assert!(said.contains("BROKEN  report.md was changed"), "{said}");
    assert_eq!(output(soakwatch().arg("verify").arg(dir)).status.code(), Some(65));
}

/// The commands of docs/evidence.md, as they stand there, in the order in which they stand there.
#[test]
fn the_documented_commands_check_a_bundle_without_us() {
    let tools = ["bash", "jq", "openssl", "sha256sum", "base64", "xxd", "zstd"];
    let missing = |tool: &&str| std::process::Command::new(tool).arg("--version").output().is_err();
    if let Some(tool) = tools.iter().find(|t| missing(t)) {
        // The commands are for other people's machines; this one lacks a tool.
        return eprintln!("not tried: {tool} is not there");
    }
    let b = Bundled::of(Soaked::new());
    let scratch = b.soaked.dir.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(b.soaked.dir.path().join("evidence.key.pub"), b.key.public().pem()).unwrap();
    let doc = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/evidence.md")).unwrap();
    let blocks: Vec<&str> = doc.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    let run = |block: &str| {
        let block = block.replace("/tmp/", &format!("{}/", scratch.display())).replace("evidence.key.pub", "../evidence.key.pub");
        let done = output(std::process::Command::new("bash").args(["-euo", "pipefail", "-c", &block]).current_dir(&b.dir));
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let last_two_alike = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        lines.len() == 2 && lines[0] == lines[1] && lines[0].len() == 64
    };
    let said: Vec<(bool, String, String)> = blocks.iter().map(|block| run(block)).collect();
    assert!(said.iter().all(|(good, ..)| *good), "{said:?}");
    assert!(said[1].1.matches(": OK").count() == 4, "{said:?}");
    assert!(last_two_alike(&said[2].1) && said[2].2.is_empty(), "{said:?}");
    assert!(said[3].1.contains("acme/production/mail/send,pass,712"), "{said:?}");

    // They fail where they should.
    b.edit("\"actor\":\"a-tester\"", "\"actor\":\"b-tester\"");
    assert!(!run(blocks[1]).0);
    assert!(run(blocks[2]).2.starts_with("changed: "));
    b.forge(Some(&SigningKey::fresh().unwrap()));
    assert!(run(blocks[1]).0 && !run(blocks[0]).0);
}
