//! Reads a response as `curl -si` prints it: status line, headers, an empty line, the body. Interim responses and those a redirect led away from
//! stand before the last one, which is the one that counts. Pure.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Unreadable;

/// A response may have this many header lines.
const MAX_HEADERS: usize = 1000;

/// The last response, and the statuses of those before it.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) before: Vec<u16>,
}

/// What is left to read, and the number of its first line.
struct Rest<'a> {
    bytes: &'a [u8],
    line: usize,
}

impl<'a> Rest<'a> {
    /// The next line without its end. None at the end of the input.
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.bytes.is_empty() {
            return None;
        }
        let end = self.bytes.iter().position(|b| *b == b'\n');
        let (line, rest) = end.map_or((self.bytes, &[][..]), |n| (&self.bytes[..n], &self.bytes[n + 1..]));
        self.bytes = rest;
        self.line += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn peek(&self) -> &'a [u8] {
        Rest { ..*self }.next().unwrap_or_default()
    }
}

/// Reads the input; an error names the line.
pub(super) fn parse(input: &[u8]) -> Result<Raw, Unreadable> {
    let mut rest = Rest { bytes: input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input), line: 0 };
    while !rest.bytes.is_empty() && rest.peek().trim_ascii().is_empty() {
        rest.next();
    }
    let mut before = Vec::new();
    loop {
        let line = rest.next().unwrap_or_default();
        let at = rest.line.max(1);
        let Some(status) = status_line(line) else {
            let seen = if line.is_empty() { "nothing".to_owned() } else { format!("{:?}", shown(line)) };
            let why = format!("expected a status line such as \"HTTP/1.1 200 OK\", found {seen}; `curl -si` prints it with the response");
            return Err(Unreadable { line: at, why });
        };
        let headers = headers(&mut rest)?;
        if status.is_informational() && rest.bytes.is_empty() {
            let why = format!("the input ends after an interim response ({}): the response itself is missing", status.as_u16());
            return Err(Unreadable { line: at, why });
        }
        if !status.is_informational() && status_line(rest.peek()).is_none() {
            return Ok(Raw { status, headers, body: rest.bytes.to_vec(), before });
        }
        before.push(status.as_u16());
    }
}

/// `HTTP/1.1 200 OK`, `HTTP/2 200`.
fn status_line(line: &[u8]) -> Option<StatusCode> {
    let line = std::str::from_utf8(line.get(..line.len().min(64))?.trim_ascii_end()).ok()?;
    let (version, rest) = line.strip_prefix("HTTP/")?.split_once(' ')?;
    let version_fits = matches!(version.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9']);
    let (code, reason) = rest.split_at_checked(3)?;
    let code_fits = code.bytes().all(|b| b.is_ascii_digit()) && (reason.is_empty() || reason.starts_with(' '));
    if version_fits && code_fits { StatusCode::from_bytes(code.as_bytes()).ok() } else { None }
}

/// Header lines up to the empty one.
fn headers(rest: &mut Rest<'_>) -> Result<HeaderMap, Unreadable> {
    let mut found: Vec<(HeaderName, Vec<u8>, usize)> = Vec::new();
    while let Some(line) = rest.next() {
        if line.is_empty() {
            break;
        }
        let wrong = |why: String| Unreadable { line: rest.line, why };
        // RFC 9112, 5.2: a line that begins with a space goes on with the one before.
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let (_, value, _) = found.last_mut().ok_or_else(|| wrong("a header's second line without its first".into()))?;
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let colon = line.iter().position(|b| *b == b':');
        let name = colon.and_then(|n| HeaderName::from_bytes(&line[..n]).ok());
        let (Some(colon), Some(name)) = (colon, name) else {
            return Err(wrong(format!("expected a header such as \"Retry-After: 30\" or an empty line, found {:?}", shown(line))));
        };
        if found.len() == MAX_HEADERS {
            return Err(wrong(format!("more than {MAX_HEADERS} headers")));
        }
        found.push((name, line[colon + 1..].trim_ascii().to_vec(), rest.line));
    }
    let mut headers = HeaderMap::new();
    for (name, value, line) in found {
        let value = HeaderValue::from_bytes(&value)
            .map_err(|_| Unreadable { line, why: format!("the value of {name} holds a control character") })?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The beginning of a line, for a message that quotes it.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(input: &str) -> (usize, String) {
        let e = parse(input.as_bytes()).unwrap_err();
        (e.line, e.why)
    }

    #[test]
    fn the_last_response_counts() {
        let input = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 301 Moved Permanently\r\nLocation: /x\r\n\r\nHTTP/2 429 \r\n\
                     retry-after: 30\r\nx: 1\r\nX: 2\r\n\r\n{\"a\":1}\r\nHTTP/1.1 200 OK";
        let raw = parse(input.as_bytes()).unwrap();
        assert_eq!((raw.status.as_u16(), raw.before), (429, vec![100, 301]));
        assert_eq!(raw.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(raw.body, b"{\"a\":1}\r\nHTTP/1.1 200 OK");
    }

    #[test]
    fn ends_of_lines_and_of_the_input() {
        for input in ["HTTP/1.0 200 OK\nA:b\n\nbody", "\n\u{feff}", "\u{feff}\r\nHTTP/3 200\nA: \n b\n\nbody"]
            .into_iter()
            .filter(|i| i.contains("HTTP"))
        {
            let raw = parse(input.as_bytes()).unwrap();
            assert_eq!((raw.status.as_u16(), raw.headers["a"].to_str().unwrap().trim(), raw.body.as_slice()), (200, "b", &b"body"[..]));
        }
        let raw = parse(b"HTTP/1.1 204 No Content\nDate: x").unwrap();
        assert_eq!((raw.headers.len(), raw.body.len()), (1, 0));
    }

    #[test]
    fn what_can_not_be_read_is_named_by_its_line() {
        assert_eq!(wrong("").0, 1);
        assert!(wrong("{\"a\":1}\n").1.contains("found \"{\\\"a\\\":1}\""));
        assert_eq!(wrong("\n\nHTTP/1.1 2000 OK\n").0, 3);
        assert_eq!(wrong("HTTP/1.1 200 OK\nA: b\nno colon\n\n").0, 3);
        assert_eq!(wrong("HTTP/1.1 200 OK\nA b: c\n\n").0, 2);
        assert_eq!(wrong("HTTP/1.1 200 OK\n b\n\n").0, 2);
        assert_eq!(wrong("HTTP/1.1 200 OK\nA: b\nC: \u{1}\n\n").0, 3);
        assert_eq!(wrong("HTTP/1.1 100 Continue\n\n").0, 1);
        assert_eq!(wrong("HTTP/1.1 100 Continue\n\nbody").0, 3);
        assert!(wrong(&format!("HTTP/1.1 200 OK\n{}", "a: b\n".repeat(1001))).1.contains("more than 1000"));
    }
}
