//! What was meant by a name that does not exist.

/// The one of `known` that `name` most likely was to be: by the fewest letters that are missing,
/// wrong, too many or swapped. `None` where nothing is close.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let letters = name.chars().count();
    // A letter in three: `wechta`, `tlss`. Of two letters every word would be close.
    let most = (letters / 3).clamp(1, 3);
    // Longer names cannot be close, and comparing takes the product of both lengths.
    let known = known.into_iter().filter(|word| word.len() < 256);
    let distances = known.filter(|_| letters < 256).map(|word| {
        let distance = strsim::damerau_levenshtein(&name, &word.to_lowercase());
        (distance, word)
    });
    let best = distances.min_by_key(|&(distance, _)| distance);
    best.filter(|&(distance, _)| distance <= most && distance < letters)
        .map(|(_, word)| word)
}

/// What is said of it behind a message: `` ; did you mean `wechat`? ``, or nothing.
pub fn did_you_mean(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_other_words() {
        let known = ["wechat", "whatsapp", "tls", "tcp_idle", "udp_idle", "qq"];
        for (name, expected) in [
            ("wechta", Some("wechat")),
            ("WeChat", Some("wechat")),
            ("whatsap", Some("whatsapp")),
            ("tsl", Some("tls")),
            ("tcp-idle", Some("tcp_idle")),
            ("q", None),
            ("qk", Some("qq")),
            ("youtube", None),
            ("", None),
        ] {
            assert_eq!(closest(name, known), expected, "{name}");
        }
        assert_eq!(closest("x", []), None);
        assert_eq!(closest(&"w".repeat(100_000), known), None);
    }
}
