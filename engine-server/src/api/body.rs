//! The body of a request: its type, its size, its time, its JSON.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use futures::StreamExt as _;
use serde_json::Value;

use crate::{
    api::{error::ApiError, fields::Fields},
    config::Limits,
};

/// Reads the body as a JSON object.
pub async fn read_json(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<Fields, ApiError> {
    check_content_type(headers)?;
    check_length(headers, limits.body_bytes)?;
    let reading =
        tokio::time::timeout(limits.body_read_timeout, read_bounded(body, limits.body_bytes));
    let bytes = reading.await.map_err(|_| too_slow(limits))??;
    parse(&bytes)
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return Ok(());
    }
    let given = if value.is_empty() { "missing".to_owned() } else { format!("`{value}`") };
    let message = format!("the Content-Type is {given}; send `application/json`");
    Err(ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

/// Refuses a declared length at once, before a byte of it is read.
fn check_length(headers: &HeaderMap, limit: usize) -> Result<(), ApiError> {
    let declared = headers.get(axum::http::header::CONTENT_LENGTH);
    let declared: Option<u64> = declared.and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        Err(too_large(limit))
    } else {
        Ok(())
    }
}

async fn read_bounded(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::malformed(
                "incomplete_body",
                format!("the body did not arrive whole: {error}"),
            )
        })?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Fields, ApiError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(Fields::body(map)),
        Ok(_) => Err(ApiError::malformed("invalid_json", "the body is JSON, but not an object")),
        // The message has line and column.
        Err(error) => {
            Err(ApiError::malformed("invalid_json", format!("the body is not JSON: {error}")))
        }
    }
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("the body is larger than {limit} bytes");
    ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message).closing()
}

fn too_slow(limits: &Limits) -> ApiError {
    let message =
        format!("the body did not arrive within {} seconds", limits.body_read_timeout.as_secs());
    ApiError::refused(StatusCode::REQUEST_TIMEOUT, "body_timeout", message).closing()
}
