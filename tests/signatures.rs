//! The built-in signatures hold what their language promises.

use crate::support;

#[test]
fn builtin_signatures_pass_their_own_check() {
    let output = support::ottometer(["signatures", "check", "--deny-warnings"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn builtin_signatures_pass_their_own_tests() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ottometer"))
        .args(["signatures", "test"])
        .current_dir(support::root())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn show_prints_one_application() {
    let text = support::succeed(["signatures", "show", "wechat"]);
    assert!(text.contains("weixin.qq.com"), "{text}");
    let output = support::ottometer(["signatures", "show", "no-such-application"]);
    assert_eq!(output.status.code(), Some(1));
}
