//! Tables of objects and their groups (`documents`), and the whole flow with an API server that
//! lists, watches and forgets old versions as its documentation says (`flow`).

mod cluster;
mod documents;
mod flow;
