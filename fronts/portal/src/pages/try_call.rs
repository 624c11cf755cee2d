//! `POST /apis/{name}/{operation}`: a call, made here on behalf of the visitor, so that a page without scripts can show its
//! answer. It takes the way of every other call: it is counted and limited by the key that it carries.

use axum::extract::{Path, State};
use axum::response::Response as PageResponse;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use millstream_portal::openapi::{Operation, Place, of_api::KEY_HEADER};

use super::operation::{Shown, Subject, Tried, TryForm, draw, subject};
use crate::Front;
use crate::address::segment;
use crate::error::PageError;
use crate::fields::Fields;
use crate::format;
use crate::front::ApiCall;
use crate::visitor::Member;

/// Characters of a parameter's value.
const VALUE_CHARS_MAX: usize = 2_000;

/// Characters of an answer's body that the page shows.
const BODY_CHARS_MAX: usize = 32 << 10;

/// Headers of an answer that the page shows.
const HEADERS_MAX: usize = 40;

/// Calls the operation as the form says and shows what came of it.
pub async fn run(
    State(front): State<Front>,
    Path((name, operation)): Path<(String, String)>,
    member: Member,
    fields: Fields,
) -> Result<PageResponse, PageError> {
    let subject = subject(&front, &member.visitor, &name, &operation)?;
    let form = TryForm {
        values: (0..subject.operation.parameters.len())
            .map(|at| fields.text(&format!("value-{at}")).to_owned())
            .collect(),
        body: fields.text("body").to_owned(),
        subscription: fields.text("subscription").to_owned(),
    };
    let tried = match call(&front, &member, &subject, &form) {
        Err(mistake) => Tried::Mistake(mistake),
        Ok(call) => {
            let begun = front.now();
            let curl = curl(&front, &call);
            let answer = front.call(call).await?;
            Tried::Answered(shown(curl, &answer, front.now() - begun))
        }
    };
    draw(&front, &member.visitor, subject, form, tried)
}

/// The call that a form asks for, or what is wrong with the form.
fn call(front: &Front, member: &Member, subject: &Subject, form: &TryForm) -> Result<ApiCall, String> {
    let (path, query, mut headers) = placed(&subject.operation, &form.values)?;
    let body = if let Some(described) = &subject.operation.body {
        if described.required && form.body.trim().is_empty() {
            return Err("The call needs a body.".to_owned());
        }
        let kind = if described.media_type.is_empty() { "application/json" } else { &described.media_type };
        let kind = HeaderValue::from_str(kind).map_err(|_| "The body's media type cannot be sent.".to_owned())?;
        headers.entry(header::CONTENT_TYPE).or_insert(kind);
        Bytes::from(form.body.replace("\r\n", "\n"))
    } else {
        Bytes::new()
    };
    if !form.subscription.is_empty() {
        let value =
            front.portal().key_value(&member.account.email, &form.subscription).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_str(&value).map_err(|_| "The key cannot be sent.".to_owned())?;
        headers.insert(HeaderName::from_static(KEY_HEADER), value);
    }
    Ok(ApiCall {
        api: subject.api.api.clone(),
        stage: subject.api.stage.clone(),
        method: subject.operation.method.clone(),
        path,
        query,
        headers,
        body,
        from: member.visitor.from,
    })
}

/// Path, query and headers with the parameters' values in their places.
fn placed(operation: &Operation, values: &[String]) -> Result<(String, String, HeaderMap), String> {
    let (mut path, mut query, mut headers) = (operation.path.clone(), Vec::new(), HeaderMap::new());
    for (parameter, value) in operation.parameters.iter().zip(values) {
        let value = value.trim();
        if value.is_empty() && parameter.required {
            return Err(format!("The parameter {} is missing.", parameter.name));
        }
        if value.chars().count() > VALUE_CHARS_MAX {
            return Err(format!("The parameter {} is longer than {VALUE_CHARS_MAX} characters.", parameter.name));
        }
        if value.is_empty() {
            continue;
        }
        match parameter.place {
            Place::Path => path = path.replace(&format!("{{{}}}", parameter.name), &segment(value)),
            Place::Query => query.push(format!("{}={}", segment(&parameter.name), segment(value))),
            Place::Header => {
                let wrong = |_| format!("The header {} cannot have this value.", parameter.name);
                let name = HeaderName::try_from(parameter.name.as_str());
                let name = name.map_err(|_| format!("{} is no name of a header.", parameter.name))?;
                headers.insert(name, HeaderValue::from_str(value).map_err(wrong)?);
            }
        }
    }
    // Whoever reads such a path goes up in it, to another operation than the page's.
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("The values make a path with . or .. in it, which would lead elsewhere.".to_owned());
    }
    Ok((path, query.join("&"), headers))
}

fn shown(curl: String, answer: &Response<Bytes>, took_ms: i64) -> Shown {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Shown {
        curl,
        status: answer.status().to_string(),
        good: answer.status().as_u16() < 400,
        took_ms,
        headers: answer
            .headers()
            .iter()
            .take(HEADERS_MAX)
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: format::body(answer.body(), BODY_CHARS_MAX),
    }
}

/// The call for a terminal.
fn curl(front: &Front, call: &ApiCall) -> String {
    let mut address = format!("{}{}", front.api_address(&call.api, &call.stage), call.path);
    if !call.query.is_empty() {
        address.push('?');
        address.push_str(&call.query);
    }
    let mut parts = vec![format!("curl -i -X {} {}", call.method, quoted(&address))];
    for (name, value) in &call.headers {
        parts.push(format!("-H {}", quoted(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))));
    }
    if !call.body.is_empty() {
        parts.push(format!("--data-raw {}", quoted(&String::from_utf8_lossy(&call.body))));
    }
    parts.join(" \\\n  ")
}

/// One word of a shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use millstream_portal::openapi::Parameter;

    use super::*;

    fn operation(parameters: &[(&str, Place, bool)]) -> Operation {
        let parameter = |(name, place, required): &(&str, Place, bool)| Parameter {
            name: (*name).to_owned(),
            place: *place,
            required: *required,
            description: String::new(),
            kind: String::new(),
            example: String::new(),
        };
        let parameters = parameters.iter().map(parameter).collect();
        Operation { path: "/a/{x}/b".to_owned(), parameters, ..Operation::default() }
    }

    #[test]
    fn values_stay_in_their_places() {
        let operation =
            operation(&[("x", Place::Path, true), ("q", Place::Query, false), ("X-Odd", Place::Header, false)]);
        let place = |values: [&str; 3]| placed(&operation, &values.map(str::to_owned));
        let (path, query, headers) = place(["../c?d", "1&2=ä", "v"]).unwrap();
        assert_eq!((path.as_str(), query.as_str()), ("/a/..%2Fc%3Fd/b", "q=1%262%3D%C3%A4"));
        assert_eq!(headers["x-odd"], "v");
        for up in [".", "..", " .. "] {
            assert!(place([up, "", ""]).unwrap_err().contains("elsewhere"), "{up}");
        }
        assert_eq!(place(["..", "", ""]).is_err(), place(["...", "", ""]).is_ok());
        assert!(place(["", "1", ""]).unwrap_err().contains('x'));
        assert!(place(["1", "", "a\r\nb: c"]).unwrap_err().contains("X-Odd"));
        assert!(place([&"x".repeat(2_001), "", ""]).is_err());
        assert_eq!(place(["1", "", ""]).unwrap().1, "");
    }

    #[test]
    fn nothing_leaves_its_quotes_in_a_shell() {
        assert_eq!(quoted("a'; rm -rf $HOME; '"), r"'a'\''; rm -rf $HOME; '\'''");
    }
}
