//! `name_list`: all names.

use std::sync::Arc;

use hubless_repos::names::Names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Lists all names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NameList {}

impl Call for NameList {
    type Answer = Names;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Names, Failure> {
        Ok(core.repos().list_names().await?)
    }
}

impl HttpCall for NameList {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/names",
        has_body: false,
        id: "names",
        group: "names",
        summary: "The names that this node knows",
        description: "",
        answer: AnswerForm::Json("The names"),
        failures: &[],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
