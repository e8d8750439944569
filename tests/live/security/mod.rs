//! What each credential is good for, and what our programs need of a machine.
//!
//! `docs/security.md` has a promise for each of these tests, and names it.

mod confinement;
mod delivery;
mod hub;
mod privileges;
mod secrets;
mod wrong;
