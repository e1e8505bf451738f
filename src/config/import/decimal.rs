//! Decimal numbers as text: shifted and written plainly, never by way of a float.

/// The number times ten to the power of `shift`, without exponent and without idle zeros; `None`
/// if it is negative, no number, or beyond any price.
pub(super) fn shifted(text: &str, shift: i32) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 40 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + exponent.checked_add(shift)?;
    if !(-30..=30).contains(&point) {
        return digits.bytes().all(|b| b == b'0').then(|| "0".to_owned());
    }
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => (format!("{digits:0<point$}"), String::new()),
        Ok(point) => (digits[..point].to_owned(), digits[point..].to_owned()),
        Err(_) => {
            let zeros = usize::try_from(-point).ok()?;
            (String::new(), format!("{}{digits}", "0".repeat(zeros)))
        }
    };
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// How many decimal places a plain number has.
pub(super) fn places(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        for (text, shift, expected) in [
            ("2.5e-06", 6, "2.5"),
            ("0.00000015", 6, "0.15"),
            ("1e-7", 6, "0.1"),
            ("3", 0, "3"),
            ("30", 6, "30000000"),
            ("0.30", 0, "0.3"),
            ("1.25E-08", 6, "0.0125"),
            ("0", 6, "0"),
            ("0.0", 0, "0"),
            ("0e99", 6, "0"),
            ("100", -2, "1"),
        ] {
            assert_eq!(shifted(text, shift).as_deref(), Some(expected), "{text} by {shift}");
        }
        for wrong in ["-1", "", "x", "1e", "1e99", "1.2.3", "+1"] {
            assert_eq!(shifted(wrong, 0), None, "{wrong:?}");
        }
        assert_eq!((places("0.125"), places("3")), (3, 0));
    }
}
