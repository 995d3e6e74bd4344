//! Numbers as people read them.
#![forbid(unsafe_code)]

/// `8196` as `8,196`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds as milliseconds.
#[must_use]
pub fn millis(nanos: u64) -> String {
    format!("{:.2} ms", nanos as f64 / 1e6)
}

/// Bytes as mebibytes.
#[must_use]
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::{mebibytes, millis, thousands};

    #[test]
    fn numbers_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (8_196_000, "8,196,000")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(millis(1_234_567), "1.23 ms");
        assert_eq!(mebibytes(3 << 19), "1.5 MiB");
    }
}
