//! What a registry asks of clients that it does not know (RFC 9110, section 11.6.1, and Docker's
//! "Token Authentication Specification"). The scope that it names is left out: a client asks for
//! what it is going to need.

/// One challenge of a header `WWW-Authenticate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token from the server at `realm`.
    Bearer {
        /// The token server's URL.
        realm: String,
        /// What the registry calls itself there.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads a header's value; `None` when it asks for something else.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// The parameters `name="value"` of a challenge.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_owned();
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        parameters.push((name, value));
        rest = after;
    }
    parameters
}

/// What stands before the closing quote, and what after it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        let (realm, service) = (realm.to_owned(), service.map(str::to_owned));
        Some(Challenge::Bearer { realm, service })
    }

    #[test]
    fn challenges_are_read() {
        for (header, challenge) in [
            ("Basic realm=\"r\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://a/token\",service=\"s\",scope=\"repository:a/b:pull,push\"",
                bearer("https://a/token", Some("s")),
            ),
            ("Bearer realm=http://a, Service=s", bearer("http://a", Some("s"))),
            ("Bearer realm=\"a\\\"b", bearer("a\"b", None)),
            ("Bearer service=\"s\"", None),
            ("Digest realm=\"r\"", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), challenge, "{header}");
        }
    }
}
