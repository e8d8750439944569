//! What a target is asked for: formats, and how names are to be written.

use super::MediaType;

/// A format of exposition, by its name in `scrape_protocols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `PrometheusProto`: delimited protobuf messages.
    PrometheusProto,
    /// `PrometheusText0.0.4`
    PrometheusText004,
    /// `PrometheusText1.0.0`
    PrometheusText100,
    /// `OpenMetricsText0.0.1`
    OpenMetricsText001,
    /// `OpenMetricsText1.0.0`
    OpenMetricsText100,
}

/// How a target is asked to write names: `metric_name_escaping_scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameEscaping {
    /// As they are.
    #[default]
    AllowUtf8,
    /// Everything unusual as `_`.
    Underscores,
    /// Dots as `_dot_`.
    Dots,
    /// In a form that can be undone.
    Values,
}

impl Protocol {
    /// All protocols, in the order of their names.
    pub const ALL: [Self; 5] = [
        Self::OpenMetricsText001,
        Self::OpenMetricsText100,
        Self::PrometheusProto,
        Self::PrometheusText004,
        Self::PrometheusText100,
    ];

    /// What Prometheus 3 asks for when nothing is configured.
    pub const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];

    /// What it asks for when native histograms are wanted: only protobuf has them.
    pub const DEFAULT_NATIVE: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];

    /// Returns the name in `scrape_protocols`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText004 => "PrometheusText0.0.4",
            Self::PrometheusText100 => "PrometheusText1.0.0",
            Self::OpenMetricsText001 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText100 => "OpenMetricsText1.0.0",
        }
    }

    /// Returns how a body of the protocol is read.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::PrometheusProto => MediaType::Protobuf,
            Self::PrometheusText004 | Self::PrometheusText100 => MediaType::Text,
            Self::OpenMetricsText001 | Self::OpenMetricsText100 => MediaType::OpenMetrics,
        }
    }

    /// The protocol in a request's `Accept`, without weight.
    fn header(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited"
            }
            Self::PrometheusText004 => "text/plain;version=0.0.4",
            Self::PrometheusText100 => "text/plain;version=1.0.0",
            Self::OpenMetricsText001 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText100 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// Tells whether a target that speaks it knows what an escaping scheme is.
    fn has_escaping(self) -> bool {
        matches!(self, Self::PrometheusText100 | Self::OpenMetricsText100)
    }
}

impl NameEscaping {
    /// All schemes.
    pub const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// Returns the name in configuration and headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

/// Returns a request's `Accept` header, byte for byte as Prometheus 3 writes it: the first
/// protocol is the most welcome, and anything is better than nothing.
pub fn accept_header(protocols: &[Protocol], escaping: NameEscaping) -> String {
    use std::fmt::Write as _;

    let mut header = String::new();
    // In tenths; the first is one more than there are protocols, so that the last is none.
    let mut weight = Protocol::ALL.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.header());
        if protocol.has_escaping() {
            header.push_str(";escaping=");
            header.push_str(escaping.as_str());
        }
        // A `String` takes everything.
        write!(header, ";q=0.{weight},").ok();
        weight = weight.saturating_sub(1);
    }
    write!(header, "*/*;q=0.{weight}").ok();
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(protocols: &[Protocol], escaping: NameEscaping, expected: &str) {
        assert_eq!(accept_header(protocols, escaping), expected);
    }

    #[test]
    fn asks_for_the_first_protocol_most() {
        check(
            &Protocol::DEFAULT,
            NameEscaping::AllowUtf8,
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        );
        check(
            &Protocol::DEFAULT_NATIVE,
            NameEscaping::Underscores,
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=underscores;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        );
        check(
            &[Protocol::PrometheusText004],
            NameEscaping::Values,
            "text/plain;version=0.0.4;q=0.6,*/*;q=0.5",
        );
        check(
            &[Protocol::PrometheusText100, Protocol::PrometheusProto],
            NameEscaping::Dots,
            "text/plain;version=1.0.0;escaping=dots;q=0.6,application/vnd.google.protobuf;\
             proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,*/*;q=0.4",
        );
    }
}
