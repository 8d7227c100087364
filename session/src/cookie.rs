//! STUB
#![allow(missing_docs)]
use std::time::Duration;
#[derive(Debug, Clone)]
pub struct CookieSettings { name: String }
impl Default for CookieSettings { fn default() -> Self { CookieSettings { name: "__Host-id".into() } } }
impl CookieSettings {
    pub fn name(&self) -> &str { &self.name }
    pub fn set_cookie(&self, value: &str, max_age: Option<Duration>) -> Result<String, CookieError> { Ok(format!("{}={value}; Path=/ {max_age:?}", self.name)) }
    pub fn removal(&self) -> String { format!("{}=; Max-Age=0", self.name) }
}
#[derive(Debug, Clone, Copy)]
pub enum SameSite { Lax }
#[derive(Debug, thiserror::Error)]
#[error("cookie")]
pub struct CookieError;
pub struct Candidates<T> { pub values: Vec<T>, pub malformed: usize }
pub fn candidates<'a, T: PartialEq>(_headers: impl IntoIterator<Item = &'a [u8]>, _name: &str, _parse: impl FnMut(&'a [u8]) -> Option<T>) -> Candidates<T> { Candidates { values: vec![], malformed: 0 } }
