//! The harness itself: a receiver that lies or a fault that doesn't happen would make every other test worthless.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::faults::{Disk, shim};
use crate::support::mail::{MailServer, Security};
use crate::support::{Receiver, Reply, http, signature};

fn get(receiver: &Receiver) -> std::io::Result<http::Answer> {
    let url = receiver.url("/x");
    let address = url.trim_start_matches("http://").trim_end_matches("/x").parse().unwrap();
    http::request(address, "POST", "/x", &[("a", "b")], b"body")
}

#[test]
fn a_receiver_answers_as_scripted() {
    let script = [
        Reply::with_header(429, "retry-after", "7"),
        Reply::Reset,
        Reply::CloseMidAnswer,
        Reply::Garbage,
        Reply::Endless,
    ];
    let receiver = Receiver::script(script, Reply::ok());
    let answer = get(&receiver).unwrap();
    assert_eq!((answer.status, answer.header("Retry-After")), (429, Some("7")));
    for _ in 0..3 {
        get(&receiver).unwrap_err();
    }
    let mut endless =
        http::connect(receiver.url("").trim_start_matches("http://").parse().unwrap()).unwrap();
    endless.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    receiver.begun(5);
    // All but the reset one have been read, so the next one is the last.
    receiver.received(4);
    drop(endless);
    assert_eq!(get(&receiver).unwrap().text(), "ok");
    let requests = receiver.received(5);
    assert_eq!(requests.last().unwrap().text(), "body");
    assert_eq!(requests.last().unwrap().header("A"), Some("b"));
}

#[test]
fn the_signature_is_that_of_the_rfc() {
    // RFC 4231, test case 2.
    assert_eq!(
        signature(b"Jefe", b"what do ya want for nothing?"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn the_disk_breaks_on_command() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::sound();
    let append = |file: &str| {
        Command::new("sh")
            .args(["-c", &format!("printf x >> {file}")])
            .current_dir(folder.path())
            .env("LD_PRELOAD", shim())
            .env("HOOKBELL_TEST_FAULT", disk.control())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    assert!(append("hookbell.db"));
    disk.is("full");
    assert!(!append("hookbell.db"));
    assert!(append("another"));
    disk.is("sound");
    assert!(append("hookbell.db"));
    assert_eq!(std::fs::read(folder.path().join("hookbell.db")).unwrap(), b"xx");
}

#[test]
fn the_mail_server_takes_and_refuses_mail() {
    for security in [Security::Plain, Security::StartTlsAndLogin, Security::Tls] {
        let server = MailServer::start(security);
        let mut client = Command::new(crate::support::mail::python())
            .arg("-")
            .arg(server.port().to_string())
            .arg(match security {
                Security::Plain => "plain",
                Security::StartTlsAndLogin => "starttls",
                Security::Tls => "tls",
            })
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let script = format!(
            r#"
import smtplib, ssl, sys
port, how = int(sys.argv[1]), sys.argv[2]
trust = ssl.create_default_context(cafile={:?})
client = smtplib.SMTP_SSL("localhost", port, context=trust) if how == "tls" else smtplib.SMTP("localhost", port)
if how == "starttls":
    client.starttls(context=trust)
    client.login({:?}, {:?})
refused = client.sendmail("a@example.com", ["b@example.com", "unknown@example.com"], "Subject: hi\r\n\r\ntext")
assert refused["unknown@example.com"][0] == 550
"#,
            crate::support::mail::certificate().join("ca.pem"),
            crate::support::mail::LOGIN.0,
            crate::support::mail::LOGIN.1,
        );
        client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(client.wait().unwrap().success());
        let lines = server.lines(2);
        assert_eq!(lines[0]["refused"], "unknown@example.com");
        assert_eq!(lines[1]["recipients"], serde_json::json!(["b@example.com"]));
        assert_eq!(lines[1]["tls"], security != Security::Plain);
        assert_eq!(lines[1]["login"], security == Security::StartTlsAndLogin);
    }
}
