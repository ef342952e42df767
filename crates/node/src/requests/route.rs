//! The calls that HTTP clients make too: their paths, their fields, and what their description says.
//!
//! Plain data: the gateway makes routes and the OpenAPI document of it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::Call;
use crate::failure::Failure;

/// A call that HTTP clients make too.
pub trait HttpCall: Call<Answer: JsonSchema + Sync> {
    /// The fields as an HTTP client sends them: those that the path names, and either a body or the
    /// query with the others. The fields of path and query are texts.
    type Fields: DeserializeOwned + JsonSchema;

    /// Where the call is found, and its description.
    const ROUTE: Route;

    /// The call with these fields.
    ///
    /// # Errors
    /// If a field has a wrong value.
    fn from_fields(fields: Self::Fields) -> Result<Self, Failure>
    where
        Self: Sized;
}

/// Takes the calls that HTTP clients make, one after the other: see [`visit_http_calls`].
///
/// [`visit_http_calls`]: super::visit_http_calls
pub trait HttpCalls {
    /// Takes a call.
    fn http<C: HttpCall>(&mut self);
}

/// Where a call is found over HTTP, and its description.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path below that of the control API; `{NAME}` is a field.
    pub path: &'static str,
    /// Whether the fields are in a JSON body.
    pub has_body: bool,
    /// The name that generated clients give the call.
    pub id: &'static str,
    /// The group of the call: `node`, `content` or `names`.
    pub group: &'static str,
    /// What the call does, in a line.
    pub summary: &'static str,
    /// More about it; may be empty.
    pub description: &'static str,
    /// The form of the answer.
    pub answer: AnswerForm,
    /// The HTTP statuses of the failures that are the call's own. Those of every call, and of every
    /// call with fields, are not among them.
    pub failures: &'static [u16],
}

/// The method of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Changes nothing.
    Get,
    /// Sets something.
    Put,
    /// Does something.
    Post,
    /// Removes something.
    Delete,
}

/// The form of an answer over HTTP, each with a description.
#[derive(Debug, Clone, Copy)]
pub enum AnswerForm {
    /// The answer, as JSON.
    Json(&'static str),
    /// None: the call has no answer but its success.
    Empty(&'static str),
    /// Events as they happen; the last one has the answer.
    Events(&'static str),
}
