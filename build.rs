//! Tells the build who compiled it, for `soakwatch_build_info`. The revision is what the packager says in SOAKWATCH_REVISION: reading it from
//! git here would build the whole crate anew at every commit.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOAKWATCH_REVISION");
    println!("cargo:rerun-if-env-changed=RUSTC");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().ok();
    let text = output.and_then(|o| String::from_utf8(o.stdout).ok()).unwrap_or_default();
    let version = text.split_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo:rustc-env=SOAKWATCH_RUSTVERSION={version}");
    let revision = std::env::var("SOAKWATCH_REVISION").unwrap_or_default();
    let revision = if revision.is_empty() { "unknown".to_owned() } else { revision };
    println!("cargo:rustc-env=SOAKWATCH_REVISION={revision}");
}
