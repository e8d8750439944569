//! Subjects: `<topic>.<publisher>.<partition>.<lane>.<kind>`.

use std::fmt;

/// Partitions that lanes are spread over, so that several receivers can share the work.
///
/// Part of the subject layout: changing it would move every lane.
pub const PARTITIONS: u32 = 32;

/// The longest token we write or take; NATS itself sets no limit, file names and labels do.
const TOKEN_MAX: usize = 255;

/// A lane of a site.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    /// The site, unescaped.
    pub publisher: std::sync::Arc<str>,
    /// The lane's number within the site.
    pub lane: u32,
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.publisher, self.lane)
    }
}

/// What a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A shape.
    Shape,
    /// A key frame.
    Key,
    /// A delta frame.
    Delta,
    /// Plain exposition text, from others than our poller.
    Text,
}

impl Kind {
    /// Returns the token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shape => "s",
            Self::Key => "k",
            Self::Delta => "d",
            Self::Text => "t",
        }
    }
}

/// A message's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The lane.
    pub lane: LaneId,
    /// What the message holds.
    pub kind: Kind,
}

/// Why a subject is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It does not begin with the topic, or has another number of tokens.
    #[error("subject is not of the form <topic>.<publisher>.<partition>.<lane>.<kind>")]
    Form,
    /// The publisher is not what escaping gives.
    #[error("publisher token is not properly escaped")]
    Publisher,
    /// Partition or lane is not a number in range.
    #[error("partition or lane is not a number in range")]
    Number,
    /// The kind is unknown.
    #[error("kind is unknown")]
    Kind,
}

impl Subject {
    /// Takes a subject below `topic` apart.
    pub fn parse(subject: &str, topic: &str) -> Result<Self, SubjectError> {
        let rest = subject
            .strip_prefix(topic)
            .and_then(|rest| rest.strip_prefix('.'));
        let mut tokens = rest.ok_or(SubjectError::Form)?.split('.');
        let mut token = || tokens.next().ok_or(SubjectError::Form);
        let (publisher, partition, lane, kind) = (token()?, token()?, token()?, token()?);
        if tokens.next().is_some() {
            return Err(SubjectError::Form);
        }
        let publisher = unescape_token(publisher).ok_or(SubjectError::Publisher)?;
        number(partition)
            .filter(|partition| *partition < PARTITIONS)
            .ok_or(SubjectError::Number)?;
        let lane = number(lane).ok_or(SubjectError::Number)?;
        let kind = match kind {
            "s" => Kind::Shape,
            "k" => Kind::Key,
            "d" => Kind::Delta,
            "t" => Kind::Text,
            _ => return Err(SubjectError::Kind),
        };
        Ok(Self {
            lane: LaneId {
                publisher: publisher.into(),
                lane,
            },
            kind,
        })
    }

    /// Writes the subject below `topic`.
    pub fn write(&self, topic: &str) -> String {
        format!("{topic}.{}", self.address())
    }

    /// Writes the subject without the topic.
    pub fn address(&self) -> String {
        let publisher = escape_token(&self.lane.publisher);
        let partition = partition(&self.lane);
        let (lane, kind) = (self.lane.lane, self.kind.as_str());
        format!("{publisher}.{partition}.{lane}.{kind}")
    }
}

/// Returns the partition of a lane.
pub fn partition(lane: &LaneId) -> u32 {
    crc32fast::hash(lane.to_string().as_bytes()) % PARTITIONS
}

/// Returns the subject on which a lane's poller is asked for a key frame.
///
/// It lies beside the topic, so that the stream does not store it.
pub fn request_subject(topic: &str, publisher: &str, lane: u32) -> String {
    format!("{topic}-request.{}.{lane}", escape_token(publisher))
}

/// The subjects of requests.
pub(super) struct RequestSubject;

impl RequestSubject {
    /// Returns the subject that matches the requests to all lanes of a site.
    pub(super) fn of_site(topic: &str, publisher: &str) -> String {
        format!("{topic}-request.{}.*", escape_token(publisher))
    }

    /// Takes a request's subject apart; `None` for one that [`request_subject`] would not write.
    pub(super) fn parse(subject: &str, topic: &str) -> Option<LaneId> {
        let rest = subject.strip_prefix(topic)?.strip_prefix("-request.")?;
        let (publisher, lane) = rest.split_once('.')?;
        Some(LaneId {
            publisher: unescape_token(publisher)?.into(),
            lane: number(lane)?,
        })
    }
}

/// Escapes a name into one token: all but ASCII letters, digits, `-` and `_` becomes `%XX`.
pub fn escape_token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            token.push(char::from(byte));
        } else {
            const HEX: [char; 16] = [
                '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
            ];
            token.push('%');
            for nibble in [byte >> 4, byte & 15] {
                token.push(HEX.get(usize::from(nibble)).copied().unwrap_or('0'));
            }
        }
    }
    token
}

/// Undoes [`escape_token`]; `None` for anything that it would not have written.
pub fn unescape_token(token: &str) -> Option<String> {
    if token.is_empty() || token.len() > TOKEN_MAX {
        return None;
    }
    let mut name = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |c: &u8| char::from(*c).to_digit(16);
                let byte = digit(high)? * 16 + digit(low)?;
                name.push(u8::try_from(byte).ok()?);
                rest = after;
            }
            _ => name.push(*byte),
        }
    }
    let name = String::from_utf8(name).ok()?;
    (escape_token(&name) == token).then_some(name)
}

fn number(token: &str) -> Option<u32> {
    let number = token.parse::<u32>().ok()?;
    // One spelling for each number: no plus sign, no leading zero.
    (number.to_string() == token).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_parses_back() {
        for publisher in ["USDC1", "dc1.example.net", "a b*>%", "größe", "-_"] {
            let lane = LaneId {
                publisher: publisher.into(),
                lane: 17,
            };
            let subject = Subject {
                lane,
                kind: Kind::Key,
            };
            let text = subject.write("prom.eu");
            assert_eq!(text.split('.').count(), 6, "{text}");
            assert_eq!(Subject::parse(&text, "prom.eu").unwrap(), subject, "{text}");
        }
    }

    #[test]
    fn a_partition_never_moves() {
        let lane = |lane| LaneId {
            publisher: "USDC1".into(),
            lane,
        };
        assert_eq!([0, 1, 2].map(|n| partition(&lane(n))), [11, 29, 7]);
    }

    #[test]
    fn a_request_names_its_lane_and_is_outside_of_the_topic() {
        let subject = request_subject("prom.eu", "dc1.example", 17);
        assert_eq!(subject, "prom.eu-request.dc1%2Eexample.17");
        assert!(Subject::parse(&subject, "prom.eu").is_err());
        let lane = RequestSubject::parse(&subject, "prom.eu").unwrap();
        assert_eq!((&*lane.publisher, lane.lane), ("dc1.example", 17));
        assert_eq!(
            RequestSubject::of_site("prom.eu", "dc1.example"),
            "prom.eu-request.dc1%2Eexample.*"
        );
        for foreign in [
            "prom.eu.dc1.17",
            "prom-request.dc1.17",
            "prom.eu-request.dc1",
            "prom.eu-request.dc1.017",
            "prom.eu-request.dc1.x",
            "prom.eu-request.dc1.1.2",
            "prom.eu-request.d%c1.1",
        ] {
            assert_eq!(RequestSubject::parse(foreign, "prom.eu"), None, "{foreign}");
        }
    }

    #[track_caller]
    fn refused(subject: &str, expected: SubjectError) {
        assert_eq!(Subject::parse(subject, "t"), Err(expected), "{subject}");
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        refused("t", SubjectError::Form);
        refused("u.a.0.0.k", SubjectError::Form);
        refused("t.a.0.0", SubjectError::Form);
        refused("t.a.0.0.k.x", SubjectError::Form);
        refused("t.a%2e.0.0.k", SubjectError::Publisher);
        refused("t.a%.0.0.k", SubjectError::Publisher);
        refused("t.a%ff.0.0.k", SubjectError::Publisher);
        refused("t..0.0.k", SubjectError::Publisher);
        refused("t.a.32.0.k", SubjectError::Number);
        refused("t.a.0.007.k", SubjectError::Number);
        refused("t.a.0.-1.k", SubjectError::Number);
        refused("t.a.0.99999999999.k", SubjectError::Number);
        refused("t.a.0.0.q", SubjectError::Kind);
    }
}
