//! A URL as Java's `java.net.URL` reads it: for protocols that Java knows, with little that it refuses.

use std::net::Ipv6Addr;

/// The parts of a URL; none where the text has none.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Url<'a> {
    protocol: &'static str,
    authority: Option<&'a str>,
    user: Option<&'a str>,
    host: &'a str,
    path: &'a str,
    /// Behind the `?`.
    pub query: Option<&'a str>,
    /// Behind the `#`.
    reference: Option<&'a str>,
}

/// Those of every Java.
const PROTOCOLS: [&str; 6] = ["http", "https", "ftp", "file", "mailto", "jar"];

impl<'a> Url<'a> {
    /// Reads a text; none if it is no URL.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_matches(|character| character <= ' ');
        let text = match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("url:") => &text[4..],
            _ => text,
        };
        let (protocol, rest) = text.split_once(':')?;
        let protocol = PROTOCOLS.into_iter().find(|known| known.eq_ignore_ascii_case(protocol))?;
        let (rest, reference) = match rest.split_once('#') {
            Some((rest, reference)) => (rest, Some(reference)),
            None => (rest, None),
        };
        match protocol {
            "mailto" if rest.trim().is_empty() => None,
            "mailto" => Some(Self::opaque(protocol, rest, None)),
            "jar" => {
                let inner = &rest[..rest.rfind("!/")?];
                Self::parse(inner).map(|_| Self::opaque(protocol, rest, reference))
            }
            _ => Self::hierarchical(protocol, rest, reference),
        }
    }

    /// One that names no host.
    fn opaque(protocol: &'static str, rest: &'a str, reference: Option<&'a str>) -> Self {
        let (path, query) = match rest.rsplit_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Self { protocol, path, query, reference, ..Self::default() }
    }

    fn hierarchical(protocol: &'static str, rest: &'a str, reference: Option<&'a str>) -> Option<Self> {
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let url = Self { protocol, path: rest, query, reference, ..Self::default() };
        // Four slashes begin a name of Windows.
        let Some(behind) = rest.strip_prefix("//").filter(|behind| !behind.starts_with("//")) else {
            return Some(url);
        };
        let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
        let (user, server) = match authority.split_once('@') {
            None => (None, authority),
            // With two of these signs it is told apart no further.
            Some((_, server)) if server.contains('@') => (None, ""),
            Some((user, server)) => (Some(user), server),
        };
        Some(Self { authority: Some(authority), user, host: host(server)?, path, ..url })
    }

    /// Appends the part of that name; none if there is none.
    pub fn part(&self, name: &str, out: &mut String) -> Option<()> {
        let part = match name {
            "HOST" => self.host,
            "PATH" => self.path,
            "QUERY" => self.query?,
            "REF" => self.reference?,
            "PROTOCOL" => self.protocol,
            "AUTHORITY" => self.authority?,
            "USERINFO" => self.user?,
            "FILE" => {
                out.push_str(self.path);
                if let Some(query) = self.query {
                    out.push('?');
                    out.push_str(query);
                }
                return Some(());
            }
            _ => return None,
        };
        out.push_str(part);
        Some(())
    }
}

/// The host of `host:port`; none if one of them cannot be.
fn host(server: &str) -> Option<&str> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.split('%').next()?.parse::<Ipv6Addr>().ok()?;
            let port = if port.is_empty() { "" } else { port.strip_prefix(':')? };
            (&server[..address.len() + 2], port)
        }
        None => server.split_once(':').unwrap_or((server, "")),
    };
    let is_port = port.is_empty() || port.parse::<i32>().is_ok_and(|port| port >= -1);
    is_port.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(url: &str, name: &str) -> Option<String> {
        let mut out = String::new();
        Url::parse(url)?.part(name, &mut out).map(|()| out)
    }

    #[test]
    fn a_url_has_parts() {
        let url = "HTTP://user:pw@Example.com:8080/p/a/../t h;x?q=1&w=2#frag#s";
        for (name, expected) in [
            ("PROTOCOL", "http"),
            ("AUTHORITY", "user:pw@Example.com:8080"),
            ("USERINFO", "user:pw"),
            ("HOST", "Example.com"),
            ("PATH", "/p/a/../t h;x"),
            ("QUERY", "q=1&w=2"),
            ("FILE", "/p/a/../t h;x?q=1&w=2"),
            ("REF", "frag#s"),
        ] {
            assert_eq!(part(url, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!((part(url, "host"), part("http://h", "QUERY"), part("http://h", "REF")), (None, None, None));
    }

    #[test]
    fn what_java_refuses_is_no_url() {
        for text in [
            "",
            "h",
            "://h",
            "nope://h/p",
            "http://h:x/",
            "http://h:-2/",
            "http://[::1",
            "http://[x]/",
            "mailto:",
            "jar:a",
        ] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
        for (text, host, path) in [
            (" url:http://h/p ", "h", "/p"),
            ("http://[::1]:80/x", "[::1]", "/x"),
            ("http:/x/y", "", "/x/y"),
            ("http:x/y", "", "x/y"),
            ("http://a@b@c/", "", "/"),
            ("http://h:/", "h", "/"),
            ("mailto:x@y", "", "x@y"),
            ("jar:file:/a!/b", "", "file:/a!/b"),
            ("file:///a/b", "", "/a/b"),
        ] {
            let url = Url::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((url.host, url.path), (host, path), "{text}");
        }
    }
}
