//! Bodies that frames and shapes are about.

use std::fmt::Write as _;
use std::sync::Arc;

use prometheus_streams::model::{Format, Labels};
use prometheus_streams::wire::{Shape, ShapeStore};

/// Bodies of all kinds: each has its own shape.
pub const BODIES: [(Format, &str); 5] = [
    (
        Format::Text,
        "# HELP h Takes so long.\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 3\n\
         h_bucket{le=\"1\"} 7\nh_bucket{le=\"10\"} 9\nh_bucket{le=\"+Inf\"} 9\n\
         h_sum 12.625\nh_count 9\n# TYPE c counter\nc{x=\"1\"} 100\nc{x=\"2\"} 2.5\n\
         c{x=\"3\"} 0\n# TYPE g gauge\ng{x=\"a\"} -3\ng{x=\"b\"} 1.7e+09\ng{x=\"c\"} NaN\n\
         g{x=\"d\"} 0.30000000000000004\n# the end\n",
    ),
    (
        Format::Text,
        "# TYPE h histogram\nh_bucket{le=\"0.1\"} 3\nh_bucket{le=\"1\"} 8\n\
         h_bucket{le=\"+Inf\"} 9\nh_sum 13\nh_count 9\nc{x=\"2\"} 2.75\nc{x=\"9\"} 1\n\
         g{x=\"d\"} 4\n",
    ),
    (
        Format::Text,
        "# TYPE t gauge\nt{x=\"1\"} 1 1700000000000\nt{x=\"2\"} 2 1700000000000\n\
         t{x=\"3\"} 3 1699999990000\nt{x=\"4\"} 4\nt{x=\"5\"} 5.5 1700000000000\n",
    ),
    (
        Format::OpenMetrics,
        "# TYPE a counter\n# UNIT b_seconds seconds\na_total{x=\"1\"} 1 1.5\na_total{x=\"2\"} 2 1.5\n\
         b_seconds 2.25\n{\"of two words\",x=\"y\"} 5\n# EOF\n",
    ),
    (Format::Text, "# nothing\n"),
];

/// The labels of a target, by a number.
pub fn target(number: usize) -> Arc<Labels> {
    Arc::new(Labels::of_target("job", &format!("host:{number}")))
}

/// The shapes that a reader knows before the fuzzer's bytes come.
pub struct Known {
    /// The shapes in an order that seeds rely on.
    pub shapes: Vec<Arc<Shape>>,
    /// All of them.
    pub store: ShapeStore,
}

/// Memory of a store; all known shapes need a tenth of it.
const STORE_BYTES_MAX: usize = 4 << 20;

impl Known {
    /// Builds the shapes of all bodies, and a longer one.
    pub fn new() -> Self {
        let mut store = ShapeStore::new(STORE_BYTES_MAX);
        let mut shapes = Vec::new();
        let mut put = |body: &str, format| {
            let shape = Shape::build(target(shapes.len()), body.as_bytes(), format).unwrap();
            shapes.push(store.insert(shape).unwrap());
        };
        for (format, body) in BODIES {
            put(body, format);
        }
        let mut body = String::new();
        for n in 0..400 {
            writeln!(body, "g{{n=\"{n}\"}} {}", n * n).unwrap();
        }
        put(&body, Format::Text);
        Self { shapes, store }
    }
}

impl Default for Known {
    fn default() -> Self {
        Self::new()
    }
}
