//! From the elements of a document to its policies: which elements and attributes there are, and what they must be.

mod limit;

use http::{HeaderName, Method, StatusCode};

use super::condition::Condition;
use super::expression::Expression;
use super::xml::Element;
use super::{Change, Cors, Exists, Policy, PolicyDocument, PolicyError, Section};

type Parsed<T> = Result<T, PolicyError>;

/// How long a backend may take unless `forward-request` says otherwise, and at most, seconds.
pub(super) const TIMEOUT_S: u32 = 300;

/// The sections in which a policy may stand.
fn allowed(policy: &str) -> Option<&'static [Section]> {
    use Section::{Backend, Inbound, OnError, Outbound};
    Some(match policy {
        "base" | "set-header" | "set-variable" | "return-response" | "choose" => &[Inbound, Backend, Outbound, OnError],
        "check-header" | "rewrite-uri" | "rate-limit" | "rate-limit-by-key" | "quota" | "quota-by-key" | "cors" => {
            &[Inbound]
        }
        "set-backend-service" | "set-query-parameter" => &[Inbound, Backend],
        "set-method" => &[Inbound, OnError],
        "mock-response" => &[Inbound, Outbound, OnError],
        "forward-request" => &[Backend],
        _ => return None,
    })
}

pub(super) fn document(root: &Element) -> Parsed<PolicyDocument> {
    if root.name != "policies" {
        return Err(root.wrong("expected the element 'policies'"));
    }
    no_attributes_but(root, &[])?;
    no_text(root)?;
    let mut document = PolicyDocument::default();
    for child in &root.children {
        let section = Section::ALL.into_iter().find(|section| section.name() == child.name);
        let section = section.ok_or_else(|| child.wrong("expected 'inbound', 'backend', 'outbound' or 'on-error'"))?;
        no_attributes_but(child, &[])?;
        no_text(child)?;
        let policies = child.children.iter().map(|element| policy(element, section)).collect::<Parsed<Vec<_>>>()?;
        match section {
            Section::Inbound => document.inbound.extend(policies),
            Section::Backend => document.backend.extend(policies),
            Section::Outbound => document.outbound.extend(policies),
            Section::OnError => document.on_error.extend(policies),
        }
    }
    Ok(document)
}

fn policy(element: &Element, section: Section) -> Parsed<Policy> {
    let sections = allowed(&element.name).ok_or_else(|| element.wrong("The policy is not supported by this node"))?;
    if !sections.contains(&section) {
        return Err(element.wrong(format!("Policy is not allowed in the section '{}'", section.name())));
    }
    match element.name.as_str() {
        "base" => leaf(element, &[]).map(|()| Policy::Base),
        "check-header" => check_header(element),
        "rewrite-uri" => {
            leaf(element, &["template", "copy-unmatched-params"])?;
            let template = expression(element, "template")?;
            if let Expression::Literal(text) = &template
                && !text.starts_with('/')
            {
                return Err(element.wrong(format!("the template must begin with `/`, found `{text}`")));
            }
            Ok(Policy::RewriteUri { template, copy_unmatched: flag(element, "copy-unmatched-params", true)? })
        }
        "set-backend-service" => {
            leaf(element, &["base-url"])?;
            let base_url = expression(element, "base-url")?;
            if let Expression::Literal(text) = &base_url {
                backend(text).map_err(|message| element.wrong(message))?;
            }
            Ok(Policy::SetBackend(base_url))
        }
        "set-header" => {
            let change = change(element)?;
            header_name(element, &change.name)?;
            Ok(Policy::SetHeader(change))
        }
        "set-query-parameter" => change(element).map(Policy::SetQuery),
        "set-method" => {
            no_attributes_but(element, &[])?;
            let method = element.text.parse::<Method>();
            method.map(Policy::SetMethod).map_err(|_| element.wrong(format!("`{}` is no method", element.text)))
        }
        "set-variable" => {
            leaf(element, &["name", "value"])?;
            let name = required(element, "name")?.to_owned();
            Ok(Policy::SetVariable { name, value: expression(element, "value")? })
        }
        "rate-limit" => limit::rate_limit(element).map(Policy::RateLimit),
        "rate-limit-by-key" => limit::rate_limit_by_key(element).map(Policy::RateLimit),
        "quota" => limit::quota(element).map(Policy::Quota),
        "quota-by-key" => limit::quota_by_key(element).map(Policy::Quota),
        "return-response" => return_response(element),
        "mock-response" => {
            leaf(element, &["status-code", "content-type"])?;
            let content_type = attribute(element, "content-type").unwrap_or("application/json").to_owned();
            Ok(Policy::MockResponse { status: status(element, "status-code", StatusCode::OK)?, content_type })
        }
        "cors" => cors(element).map(Policy::Cors),
        "choose" => choose(element, section),
        _ => {
            leaf(element, &["timeout"])?;
            let timeout_s = optional_number(element, "timeout")?.unwrap_or(TIMEOUT_S);
            if !(1..=TIMEOUT_S).contains(&timeout_s) {
                return Err(element.wrong(format!("the timeout must be 1 to {TIMEOUT_S} seconds, found {timeout_s}")));
            }
            Ok(Policy::ForwardRequest { timeout_s })
        }
    }
}

/// Refuses an address that cannot be a backend's.
///
/// # Errors
/// What was expected and found.
pub fn backend(text: &str) -> Result<(), String> {
    let uri = text.parse::<http::Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    if uri.is_some_and(|uri| uri.authority().is_some() && uri.query().is_none()) {
        return Ok(());
    }
    Err(format!("expected an http:// or https:// address without a query, found `{text}`"))
}

fn check_header(element: &Element) -> Parsed<Policy> {
    no_attributes_but(element, &["name", "failed-check-httpcode", "failed-check-error-message", "ignore-case"])?;
    Ok(Policy::CheckHeader {
        name: header_name(element, required(element, "name")?)?,
        status: {
            required(element, "failed-check-httpcode")?;
            status(element, "failed-check-httpcode", StatusCode::UNAUTHORIZED)?
        },
        message: expression(element, "failed-check-error-message")?,
        ignore_case: {
            required(element, "ignore-case")?;
            flag(element, "ignore-case", false)?
        },
        values: texts(element, "value")?,
    })
}

fn return_response(element: &Element) -> Parsed<Policy> {
    no_attributes_but(element, &[])?;
    no_text(element)?;
    let (mut code, mut headers, mut body) = (StatusCode::OK, Vec::new(), None);
    for child in &element.children {
        match child.name.as_str() {
            "set-status" => {
                leaf(child, &["code", "reason"])?;
                required(child, "code")?;
                code = status(child, "code", StatusCode::OK)?;
            }
            "set-header" => {
                let change = change(child)?;
                header_name(child, &change.name)?;
                headers.push(change);
            }
            "set-body" => {
                no_attributes_but(child, &[])?;
                body = Some(Expression::parse(&child.text).map_err(|message| child.wrong(message))?);
            }
            _ => return Err(child.wrong("expected 'set-status', 'set-header' or 'set-body'")),
        }
    }
    Ok(Policy::ReturnResponse { status: code, headers, body })
}

fn choose(element: &Element, section: Section) -> Parsed<Policy> {
    no_attributes_but(element, &[])?;
    no_text(element)?;
    let (mut when, mut otherwise) = (Vec::new(), None);
    for child in &element.children {
        no_text(child)?;
        let inner = child.children.iter().map(|element| chosen(element, section)).collect::<Parsed<Vec<_>>>()?;
        match child.name.as_str() {
            "when" if otherwise.is_none() => {
                no_attributes_but(child, &["condition"])?;
                let condition =
                    Condition::parse(required(child, "condition")?).map_err(|message| child.wrong(message))?;
                when.push((condition, inner));
            }
            "otherwise" if otherwise.is_none() => {
                no_attributes_but(child, &[])?;
                otherwise = Some(inner);
            }
            _ => return Err(child.wrong("expected 'when', and one 'otherwise' behind them")),
        }
    }
    if when.is_empty() {
        return Err(element.wrong("Required element 'when' not found"));
    }
    Ok(Policy::Choose { when, otherwise: otherwise.unwrap_or_default() })
}

/// A policy that is done under a condition. What counts or calls is asked for by its place in a document, which it has not.
fn chosen(element: &Element, section: Section) -> Parsed<Policy> {
    match policy(element, section)? {
        Policy::Base | Policy::RateLimit(_) | Policy::Quota(_) | Policy::ForwardRequest { .. } => {
            Err(element.wrong("The policy is not supported by this node in 'choose'"))
        }
        policy => Ok(policy),
    }
}

fn cors(element: &Element) -> Parsed<Cors> {
    no_attributes_but(element, &["allow-credentials", "terminate-unmatched-request"])?;
    let mut cors = Cors {
        credentials: flag(element, "allow-credentials", false)?,
        terminate_unmatched: flag(element, "terminate-unmatched-request", true)?,
        origins: Vec::new(),
        methods: Vec::new(),
        headers: Vec::new(),
        expose: Vec::new(),
        max_age_s: None,
    };
    for child in &element.children {
        let (list, item) = match child.name.as_str() {
            "allowed-origins" => (&mut cors.origins, "origin"),
            "allowed-methods" => {
                cors.max_age_s = optional_number(child, "preflight-result-max-age")?;
                (&mut cors.methods, "method")
            }
            "allowed-headers" => (&mut cors.headers, "header"),
            "expose-headers" => (&mut cors.expose, "header"),
            _ => return Err(child.wrong("The element is not a part of 'cors'")),
        };
        let attributes: &[&str] = if item == "method" { &["preflight-result-max-age"] } else { &[] };
        no_attributes_but(child, attributes)?;
        for entry in &child.children {
            if entry.name != item {
                return Err(entry.wrong(format!("expected '{item}'")));
            }
            leaf_text(entry)?;
            list.push(entry.text.trim_end_matches('/').to_owned());
        }
    }
    if cors.origins.is_empty() {
        return Err(element.wrong("Required element 'allowed-origins' not found"));
    }
    if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
        return Err(element.wrong("allow-credentials cannot be true when any origin is allowed"));
    }
    Ok(cors)
}

fn change(element: &Element) -> Parsed<Change> {
    no_attributes_but(element, &["name", "exists-action"])?;
    let exists = match attribute(element, "exists-action") {
        None | Some("override") => Exists::Override,
        Some("skip") => Exists::Skip,
        Some("append") => Exists::Append,
        Some("delete") => Exists::Delete,
        Some(other) => {
            return Err(
                element.wrong(format!("exists-action must be override, skip, append or delete, found `{other}`"))
            );
        }
    };
    let values = texts(element, "value")?;
    if values.is_empty() && exists != Exists::Delete {
        return Err(element.wrong("Required element 'value' not found"));
    }
    Ok(Change { name: required(element, "name")?.to_owned(), exists, values })
}

fn attribute<'e>(element: &'e Element, name: &str) -> Option<&'e str> {
    element.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn required<'e>(element: &'e Element, name: &str) -> Parsed<&'e str> {
    attribute(element, name).ok_or_else(|| element.wrong(format!("Required attribute '{name}' not found")))
}

fn expression(element: &Element, name: &str) -> Parsed<Expression> {
    Expression::parse(required(element, name)?).map_err(|message| element.wrong(message))
}

fn header_name(element: &Element, name: &str) -> Parsed<HeaderName> {
    HeaderName::try_from(name).map_err(|_| element.wrong(format!("`{name}` is no header's name")))
}

fn flag(element: &Element, name: &str, otherwise: bool) -> Parsed<bool> {
    match attribute(element, name).map(str::to_ascii_lowercase).as_deref() {
        None => Ok(otherwise),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(element.wrong(format!("the attribute '{name}' must be true or false, found `{other}`"))),
    }
}

fn optional_number<N: std::str::FromStr>(element: &Element, name: &str) -> Parsed<Option<N>> {
    let wrong = |found: &str| element.wrong(format!("the attribute '{name}' must be a whole number, found `{found}`"));
    attribute(element, name).map(|text| text.trim().parse().map_err(|_| wrong(text))).transpose()
}

fn number<N: std::str::FromStr>(element: &Element, name: &str) -> Parsed<N> {
    required(element, name)?;
    optional_number(element, name)?.ok_or_else(|| element.wrong(format!("Required attribute '{name}' not found")))
}

fn status(element: &Element, name: &str, otherwise: StatusCode) -> Parsed<StatusCode> {
    let Some(number) = optional_number::<u16>(element, name)? else { return Ok(otherwise) };
    let status = StatusCode::from_u16(number).ok().filter(|status| status.as_u16() < 600 && !status.is_informational());
    status.ok_or_else(|| element.wrong(format!("`{number}` is no status of an answer")))
}

fn texts(element: &Element, name: &str) -> Parsed<Vec<Expression>> {
    no_text(element)?;
    let text = |child: &Element| {
        if child.name != name {
            return Err(child.wrong(format!("expected '{name}'")));
        }
        leaf_text(child)?;
        Expression::parse(&child.text).map_err(|message| child.wrong(message))
    };
    element.children.iter().map(text).collect()
}

fn leaf(element: &Element, attributes: &[&str]) -> Parsed<()> {
    no_text(element)?;
    no_children(element)?;
    no_attributes_but(element, attributes)
}

fn leaf_text(element: &Element) -> Parsed<()> {
    no_children(element)?;
    no_attributes_but(element, &[])
}

fn no_children(element: &Element) -> Parsed<()> {
    element.children.first().map_or(Ok(()), |child| Err(child.wrong(format!("'{}' has no such element", element.name))))
}

fn no_text(element: &Element) -> Parsed<()> {
    if element.text.is_empty() { Ok(()) } else { Err(element.wrong(format!("unexpected text `{}`", element.text))) }
}

fn no_attributes_but(element: &Element, known: &[&str]) -> Parsed<()> {
    let unknown = element.attributes.iter().find(|(name, _)| !known.contains(&name.as_str()));
    unknown
        .map_or(Ok(()), |(name, _)| Err(element.wrong(format!("The attribute '{name}' is not supported by this node"))))
}
