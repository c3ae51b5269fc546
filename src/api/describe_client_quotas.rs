//! DescribeClientQuotas (key 48): which quotas match a filter. Connection's core.
//! Invariant: there are no quotas, so what is well-formed matches none.

use std::future::Future;

use hashbrown::HashSet;

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};
use crate::wire::{ErrorCode, Str};

const IP: &str = "ip";
const ENTITY_TYPES: [&str; 3] = ["user", "client-id", IP];

pub(super) fn serve(
    _ctx: &RequestContext<'_>,
    request: DescribeClientQuotasRequest,
) -> impl Future<Output = Served<DescribeClientQuotasResponse>> + use<> {
    let reply = match check(&request.components) {
        Ok(()) => DescribeClientQuotasResponse { entries: Some(Vec::new()), ..Default::default() },
        Err((error_code, why)) => DescribeClientQuotasResponse {
            error_code,
            error_message: Some(Str::from(why)),
            entries: None,
            ..Default::default()
        },
    };
    std::future::ready(reply.into())
}

fn check(components: &[ComponentData]) -> Result<(), (ErrorCode, String)> {
    let mut seen = HashSet::new();
    for component in components {
        let kind = component.entity_type.as_str();
        let invalid = |why: String| Err((ErrorCode::InvalidRequest, why));
        if kind.is_empty() {
            return invalid("Invalid empty entity type.".into());
        }
        if !seen.insert(kind) {
            return invalid(format!("Entity type {kind} cannot appear more than once in the filter."));
        }
        if !ENTITY_TYPES.contains(&kind) {
            return Err((ErrorCode::UnsupportedVersion, format!("Unsupported entity type {kind}")));
        }
        match (component.match_type, &component.match_) {
            (0, None) => {
                return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.".into());
            }
            (1, Some(_)) => {
                return invalid("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.".into());
            }
            (2, Some(_)) => {
                return invalid("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.".into());
            }
            (0..=2, _) => {}
            (other, _) => return invalid(format!("Unknown match type {other}")),
        }
    }
    if seen.contains(IP) && seen.len() > 1 {
        let why = "Invalid entity filter component combination. IP filter component should not be used with user or \
                   clientId filter component.";
        return Err((ErrorCode::InvalidRequest, why.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(kind: &str, match_type: i8, name: Option<&str>) -> ComponentData {
        ComponentData { entity_type: kind.into(), match_type, match_: name.map(Str::from) }
    }

    #[test]
    fn a_filter_that_contradicts_itself_is_refused() {
        assert_eq!(check(&[component("user", 0, Some("a")), component("client-id", 1, None)]), Ok(()));
        let bad = [
            vec![component("", 2, None)],
            vec![component("user", 2, None), component("user", 1, None)],
            vec![component("user", 0, None)],
            vec![component("user", 1, Some("a"))],
            vec![component("user", 7, None)],
            vec![component("ip", 2, None), component("user", 2, None)],
        ];
        for components in bad {
            assert!(check(&components).is_err_and(|(code, _)| code == ErrorCode::InvalidRequest), "{components:?}");
        }
    }
}
