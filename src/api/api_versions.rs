//! ApiVersions (key 18): what is served, and the features that clients ask for. Served before authentication.
//! Invariant: the ranges are those of the table, nothing is listed by hand.

use std::future::Future;

use super::RequestContext;
use super::table::{Served, TABLE};
use crate::wire::messages::ApiKey;
use crate::wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{ErrorCode, Str};

/// A feature of Kafka's cluster, as far as we serve it.
struct Feature {
    name: &'static str,
    min: i16,
    max: i16,
    finalized: i16,
}

/// Features of parts that work. Transactions and the others join with their parts.
const FEATURES: &[Feature] = &[
    Feature { name: "metadata.version", min: 7, max: 30, finalized: 30 },
    Feature { name: "kraft.version", min: 0, max: 1, finalized: 0 },
    // Consumer groups (KIP-848).
    Feature { name: "group.version", min: 0, max: 1, finalized: 1 },
];

/// Changes of the finalized features are counted; there are none while the binary fixes them.
const FINALIZED_EPOCH: i64 = 0;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ApiVersionsRequest,
) -> impl Future<Output = Served<ApiVersionsResponse>> + use<> {
    let reply = if ctx.version >= 3 && !names_its_software(&request) {
        ApiVersionsResponse { error_code: ErrorCode::InvalidRequest, ..Default::default() }
    } else {
        supported(ctx.version)
    };
    std::future::ready(reply.into())
}

/// The answer to a version that we do not know, in version 0: the range that we do.
pub(super) fn unsupported_version() -> ApiVersionsResponse {
    let own = TABLE.iter().filter(|row| row.api == ApiKey::ApiVersions);
    let api_keys = own
        .map(|row| ApiVersion {
            api_key: row.api.key(),
            min_version: row.version_min_told,
            max_version: row.api.versions().max,
        })
        .collect();
    ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion, api_keys, ..Default::default() }
}

fn supported(version: i16) -> ApiVersionsResponse {
    let api_keys = TABLE
        .iter()
        .map(|row| ApiVersion {
            api_key: row.api.key(),
            min_version: row.version_min_told,
            max_version: row.api.versions().max,
        })
        .collect();
    // Older clients reject a feature whose minimum is 0 (KAFKA-17011).
    let supported_features = FEATURES
        .iter()
        .filter(|feature| version >= 4 || feature.min > 0)
        .map(|feature| SupportedFeatureKey {
            name: Str::from_static(feature.name),
            min_version: feature.min,
            max_version: feature.max,
        })
        .collect();
    let finalized_features = FEATURES
        .iter()
        .filter(|feature| feature.finalized > 0)
        .map(|feature| FinalizedFeatureKey {
            name: Str::from_static(feature.name),
            max_version_level: feature.finalized,
            min_version_level: feature.finalized,
        })
        .collect();
    ApiVersionsResponse {
        api_keys,
        supported_features,
        finalized_features_epoch: FINALIZED_EPOCH,
        finalized_features,
        ..Default::default()
    }
}

/// Letters and digits, inside also `.` and `-` (KIP-511).
fn names_its_software(request: &ApiVersionsRequest) -> bool {
    [&request.client_software_name, &request.client_software_version].into_iter().all(|name| {
        let inside = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'-';
        let ends = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|c| inside(*c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_above_ours_is_told_the_range_of_key_18_only() {
        let reply = unsupported_version();
        assert_eq!(reply.error_code, ErrorCode::UnsupportedVersion);
        let ranges: Vec<_> = reply.api_keys.iter().map(|key| (key.api_key, key.min_version, key.max_version)).collect();
        assert_eq!(ranges, [(18, 0, 4)]);
    }

    #[test]
    fn features_with_minimum_zero_are_kept_from_clients_that_reject_them() {
        assert!(supported(3).supported_features.iter().all(|feature| feature.min_version > 0));
        assert!(supported(4).supported_features.iter().any(|feature| feature.min_version == 0));
    }

    #[test]
    fn consumer_groups_are_a_feature_that_is_finalized() {
        for version in [3, 4] {
            let told = supported(version).finalized_features;
            let group = told.iter().find(|feature| feature.name == *"group.version").expect("it is told");
            assert_eq!((group.min_version_level, group.max_version_level), (1, 1));
        }
    }

    #[test]
    fn the_ranges_are_kafkas() {
        let told: Vec<_> =
            supported(4).api_keys.iter().map(|key| (key.api_key, key.min_version, key.max_version)).collect();
        let kafka = [
            (0, 0, 13),
            (1, 4, 18),
            (2, 1, 11),
            (3, 0, 13),
            (8, 2, 10),
            (9, 1, 10),
            (10, 0, 6),
            (11, 0, 9),
            (12, 0, 4),
            (13, 0, 5),
            (14, 0, 5),
            (15, 0, 6),
            (16, 0, 5),
            (18, 0, 4),
            (19, 2, 7),
            (20, 1, 6),
            (21, 0, 2),
            (22, 0, 5),
            (23, 2, 4),
            (29, 1, 3),
            (30, 1, 3),
            (31, 1, 3),
            (32, 1, 4),
            (33, 0, 2),
            (34, 1, 2),
            (35, 1, 5),
            (37, 0, 3),
            (42, 0, 2),
            (43, 0, 2),
            (44, 0, 1),
            (45, 0, 1),
            (46, 0, 0),
            (47, 0, 0),
            (48, 0, 1),
            (50, 0, 0),
            (55, 0, 2),
            (60, 0, 2),
            (68, 0, 1),
            (69, 0, 1),
            (74, 0, 1),
            (75, 0, 0),
        ];
        assert_eq!(told, kafka);
    }

    #[test]
    fn software_names_follow_kip_511() {
        let named = |name: &str| {
            names_its_software(&ApiVersionsRequest {
                client_software_name: name.into(),
                client_software_version: "1".into(),
            })
        };
        for good in ["librdkafka", "apache-kafka-java", "a", "v1.2.3"] {
            assert!(named(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "ä", "."] {
            assert!(!named(bad), "{bad}");
        }
    }
}
