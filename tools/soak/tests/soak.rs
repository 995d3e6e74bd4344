//! What the soak makes of its command line, and that its stamps notice what they are for.
#![forbid(unsafe_code)]

use std::panic::catch_unwind;
use std::time::Duration;

use poolbuf::POISON;

use poolbuf_soak::options::Options;
use poolbuf_soak::program;
use poolbuf_soak::stamp::{Stamp, verify_clean};
use poolbuf_support::options::OptionError;

fn parse(arguments: &str) -> Result<Option<Options>, OptionError> {
    Options::parse(arguments.split_whitespace().map(Into::into))
}

#[test]
fn options_are_read() {
    let expected = Options {
        duration: Duration::from_secs(20),
        threads: 3,
        seed: u64::MAX,
    };
    for line in [
        "--seconds 20 --threads 3 --seed 18446744073709551615",
        "--seed=18446744073709551615 --threads=3 --seconds=20",
    ] {
        assert_eq!(parse(line), Ok(Some(expected.clone())), "{line}");
    }
    for help in ["--help", "-h", "--threads 3 --help"] {
        assert_eq!(parse(help), Ok(None), "{help}");
    }
    let default = parse("").unwrap().unwrap();
    assert_eq!(default.duration, Duration::from_secs(10));
    assert!((4..=16).contains(&default.threads));
}

#[test]
fn what_is_not_allowed_is_an_error_that_says_what_is() {
    for (line, expected) in [
        ("--seconds 0", "it takes a whole number from 1 to 604800"),
        ("--seconds abc", "it takes a whole number from 1 to 604800"),
        ("--seconds=", "it takes a whole number from 1 to 604800"),
        ("--seconds 604801", "it takes a whole number from 1 to 604800"),
        ("--threads 65", "it takes a whole number from 1 to 64"),
        ("--seed -1", "it takes a whole number from 0 to 18446744073709551615"),
        ("--seconds", "--seconds needs a value"),
        ("--seed 1 --seed 1", "--seed is given twice"),
        ("--help=yes", "--help takes no value"),
        ("--second 1", "unknown option \"--second\": there are --seconds,"),
        ("9", "unknown option \"9\""),
    ] {
        let error = parse(line).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn a_short_run_ends_well() {
    let options = Options {
        duration: Duration::from_secs(2),
        threads: 4,
        seed: 1,
    };
    // A thread that makes no progress would end this program with that status.
    assert!(program::run(&options, 1));
}

#[test]
fn a_stamp_notices_what_another_wrote() {
    let stamp = Stamp::new(7);
    let mut bytes = stamp.bytes(0, 100);
    assert!(bytes.iter().all(|byte| ![0, POISON].contains(byte)));
    stamp.verify(0, &bytes, "a pool");
    stamp.verify(60, &bytes[60..], "a pool");
    for byte in [0, POISON, bytes[50] ^ 1] {
        bytes[50] = byte;
        assert!(catch_unwind(|| stamp.verify(0, &bytes, "a pool")).is_err());
    }
    let other = Stamp::new(8).bytes(0, 100);
    assert!(catch_unwind(|| stamp.verify(0, &other, "a pool")).is_err());
}

#[test]
fn an_earlier_holders_byte_is_noticed() {
    verify_clean(&[0, 0], false, "a pool");
    verify_clean(&[0, POISON], true, "a pool");
    for (bytes, poisoned) in [([0, POISON], false), ([0, 1], true), ([1, 0], false)] {
        assert!(catch_unwind(|| verify_clean(&bytes, poisoned, "a pool")).is_err());
    }
}
