//! Documents and what they say; documents and why they are refused; policies and what they do.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use millstream_catalog::{ManagedBackend, ManagedUser, NamedValue};

use super::exchange::{Exchange, Flow, query_pairs};
use super::term::{Side, Term, Value};
use super::*;

fn inbound(policies: &str) -> Result<Vec<Policy>, String> {
    let text = format!("<policies><inbound>{policies}</inbound></policies>");
    PolicyDocument::parse(&text, &service()).map(|document| document.inbound).map_err(|error| error.to_string())
}

/// A service with a named value and a backend.
fn service() -> ManagedServiceDefinition {
    let value = NamedValue { display_name: "greeting".into(), value: "a < \"b\"".into(), ..NamedValue::default() };
    let backend = ManagedBackend { url: "https://named/".into(), ..ManagedBackend::default() };
    ManagedServiceDefinition {
        named_values: BTreeMap::from([("g".to_owned(), value)]),
        backends: BTreeMap::from([("store".to_owned(), backend)]),
        ..ManagedServiceDefinition::default()
    }
}

fn exchange() -> Exchange {
    let mut headers = HeaderMap::new();
    headers.insert("x-mine", "Value".parse().unwrap());
    headers.insert("origin", "http://page".parse().unwrap());
    Exchange {
        method: Method::POST,
        backend: Some("http://backend/base".into()),
        path: "/orders/7".into(),
        query: query_pairs("n=1&m=a+b"),
        headers,
        body: Bytes::new(),
        parameters: BTreeMap::from([("id".to_owned(), "7 8".to_owned())]),
        response: Response::new(Bytes::new()),
        response_headers: HeaderMap::new(),
        subscription: "sub".into(),
        key: "k1".into(),
        user: Some(ManagedUser {
            name: "ada".into(),
            email: "ada@example.org".into(),
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            ..ManagedUser::default()
        }),
        variables: BTreeMap::from([("n".to_owned(), Value::Number(3.0)), ("flag".to_owned(), Value::Bool(true))]),
        address: "10.0.0.1".into(),
        request_id: "r1".into(),
    }
}

/// What a policy makes of the request above: the address that is called, its headers, or the refusal.
fn applied(policy: &str) -> (String, Exchange) {
    let mut exchange = exchange();
    let policy = inbound(policy).unwrap().remove(0);
    let told = match exchange.apply(&policy, Section::Inbound) {
        Flow::Next(_) => exchange.uri().unwrap().to_string(),
        Flow::Answered(_) => format!("answered {}", exchange.response.status().as_u16()),
        Flow::Refused(status, message) => format!("refused {} {message}", status.as_u16()),
    };
    (told, exchange)
}

#[test]
fn a_whole_document_is_read() {
    let text = r#"<?xml version="1.0"?><!-- the policies -->
        <policies>
            <inbound><base /><check-header name="aeg-sas-key" failed-check-httpcode="401"
                failed-check-error-message="key &amp; more" ignore-case="true"><value>a</value></check-header>
                <rate-limit-by-key calls="3" renewal-period="60"
                  counter-key="@(context.Request.Headers.GetValueOrDefault("x-key","none"))" />
                <rate-limit-by-key calls="3" renewal-period="60"
                  counter-key="@(context.Request.Headers.GetValueOrDefault(&quot;x-key&quot;, &quot;)&quot;))" />
            </inbound>
            <backend><forward-request timeout="10" /></backend>
            <outbound><base /><set-header name="X-A" exists-action="delete" /></outbound>
            <on-error><base /></on-error>
        </policies>"#;
    let document = PolicyDocument::parse(text, &service()).unwrap();
    let names = |section| document.section(section).iter().map(Policy::name).collect::<Vec<_>>();
    assert_eq!(names(Section::Inbound), ["base", "check-header", "rate-limit-by-key", "rate-limit-by-key"]);
    assert_eq!(names(Section::Backend), ["forward-request"]);
    assert_eq!(names(Section::Outbound), ["base", "set-header"]);
    assert_eq!(names(Section::OnError), ["base"]);
    let key = |otherwise: &str| Expression::Terms(vec![Term::Header(Side::Request, "x-key".into(), otherwise.into())]);
    for (policy, otherwise) in [(2, "none"), (3, ")")] {
        let Policy::RateLimit(found) = &document.inbound[policy] else { panic!() };
        assert_eq!(found.counted.key, Some(key(otherwise)));
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (policies, expected) in [
        ("\n  <foo />", "Error in element 'foo' on line 2, column 3: The policy is not supported by this node"),
        ("<rate-limit calls='1' />", "Required attribute 'renewal-period' not found"),
        ("<rate-limit calls='x' renewal-period='1' />", "must be a whole number, found `x`"),
        ("<rate-limit calls='1' renewal-period='9' foo='1' />", "The attribute 'foo' is not supported by this node"),
        ("<rate-limit calls='1' renewal-period='9'><api /></rate-limit>", "Required attribute 'name' not found"),
        ("<rate-limit calls='1' renewal-period='9'><foo /></rate-limit>", "expected 'api'"),
        (
            "<quota-by-key calls='1' renewal-period='300' counter-key='k' first-period-start='x' />",
            "like 2026-01-01T00:00:00Z",
        ),
        (
            "<rate-limit-by-key calls='1' renewal-period='9' counter-key='k' increment-count='x' />",
            "a whole number, found `x`",
        ),
        ("<set-backend-service backend-id='none' />", "Backend with id 'none' could not be found"),
        ("<set-backend-service backend-id='store' base-url='http://x' />", "not both"),
        (
            "\n <set-header name='a'><value>{{none}}</value></set-header>",
            "line 2, column 30: Cannot find a property 'none'",
        ),
        ("<forward-request />", "Policy is not allowed in the section 'inbound'"),
        (
            "<set-header name='a'><value>@(context.Deployment.Region)</value></set-header>",
            "not supported by this node from `context.Deployment.Region`",
        ),
        ("<set-header name='a'><value>@{ return 1; }</value></set-header>", "is not supported"),
        ("<set-header name='a b'><value>x</value></set-header>", "`a b` is no header's name"),
        ("<set-header name='a' />", "Required element 'value' not found"),
        ("<set-backend-service base-url='ftp://x' />", "expected an http:// or https:// address"),
        ("<quota renewal-period='1' />", "Either 'calls' or 'bandwidth'"),
        ("<quota-by-key calls='1' renewal-period='300' />", "'counter-key' not found"),
        ("<quota-by-key calls='1' renewal-period='60' counter-key='k' />", "0 or 300 seconds"),
        ("<set-header name='a'><value>x</set-header>", "expected its end, found the end of 'set-header'"),
        ("<set-header name='a", "the value of 'name' has no end"),
        ("text", "unexpected text `text`"),
        ("a & b", "expected `&amp;` instead of `&`"),
        (
            "<cors allow-credentials='true'><allowed-origins><origin>*</origin></allowed-origins></cors>",
            "cannot be true",
        ),
    ] {
        let error = inbound(policies).unwrap_err();
        assert!(error.contains(expected), "{policies}: {error}");
    }
    assert!(
        PolicyDocument::parse("<!DOCTYPE a><policies />", &service()).unwrap_err().to_string().contains("not allowed")
    );
    assert!(PolicyDocument::parse(&"<a>".repeat(100_000), &service()).is_err());
    assert!(PolicyDocument::parse("", &service()).is_err());
}

#[test]
fn requests_are_changed_as_policies_say() {
    for (policy, expected) in [
        ("<base />", "http://backend/base/orders/7?n=1&m=a%20b"),
        ("<rewrite-uri template='/events' />", "http://backend/base/events?n=1&m=a%20b"),
        ("<rewrite-uri template='/e/{id}?v={id}&amp;n=2' />", "http://backend/base/e/7%208?v=7%208&n=2&m=a%20b"),
        ("<rewrite-uri template='/e' copy-unmatched-params='false' />", "http://backend/base/e"),
        ("<set-backend-service base-url='https://other/' />", "https://other/orders/7?n=1&m=a%20b"),
        ("<set-backend-service backend-id='store' />", "https://named/orders/7?n=1&m=a%20b"),
        (
            "<set-query-parameter name='n'><value>2</value></set-query-parameter>",
            "http://backend/base/orders/7?m=a%20b&n=2",
        ),
        (
            "<set-query-parameter name='n' exists-action='append'><value>2</value></set-query-parameter>",
            "http://backend/base/orders/7?n=1&m=a%20b&n=2",
        ),
        ("<set-query-parameter name='n' exists-action='delete' />", "http://backend/base/orders/7?m=a%20b"),
        (
            "<check-header name='x-no' failed-check-httpcode='401' failed-check-error-message='no' ignore-case='false' />",
            "refused 401 no",
        ),
        (
            "<check-header name='x-mine' failed-check-httpcode='403' failed-check-error-message='no' ignore-case='false'>\
             <value>value</value></check-header>",
            "refused 403 no",
        ),
        (
            "<check-header name='x-mine' failed-check-httpcode='403' failed-check-error-message='no' ignore-case='true'>\
             <value>x</value><value>value</value></check-header>",
            "http://backend/base/orders/7?n=1&m=a%20b",
        ),
        ("<return-response><set-status code='202' reason='Taken' /></return-response>", "answered 202"),
        ("<mock-response status-code='201' />", "answered 201"),
    ] {
        assert_eq!(applied(policy).0, expected, "{policy}");
    }
}

#[test]
fn headers_get_their_values() {
    for (action, value, expected) in [
        ("override", "b", vec!["b"]),
        ("skip", "b", vec!["Value"]),
        ("append", "b", vec!["Value", "b"]),
        ("delete", "b", vec![]),
        ("override", "@(context.Subscription.Id)", vec!["sub"]),
        ("override", "@( context.Request.IpAddress )", vec!["10.0.0.1"]),
        ("override", "@(context.RequestId)", vec!["r1"]),
        ("override", r#"@(context.Request.Headers.GetValueOrDefault("x-no","d"))"#, vec!["d"]),
        ("override", r#"@(context.Subscription?.Key + "/" + context.Variables["n"])"#, vec!["k1/3"]),
        ("override", r#"@(context.Request.Method == "POST" &amp;&amp; (bool)context.Variables["flag"])"#, vec!["True"]),
        ("override", r#"@(context.Variables.GetValueOrDefault<int>("none", 7))"#, vec!["7"]),
        ("override", r#"@(context.User.FirstName + " " + context.User?.LastName)"#, vec!["Ada Lovelace"]),
        ("override", r#" @(context.Variables.GetValueOrDefault<int>("n") + "<")"#, vec!["3<"]),
        ("override", "{{ greeting }}", vec!["a < \"b\""]),
        ("override", r#"@(context.Request.Headers.GetValueOrDefault("X-Mine", "d"))"#, vec!["Value"]),
    ] {
        let policy = format!("<set-header name='X-Mine' exists-action='{action}'><value>{value}</value></set-header>");
        let (_, exchange) = applied(&policy);
        let found: Vec<_> = exchange.headers.get_all("x-mine").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found, expected, "{policy}");
    }
}

#[test]
fn a_subscription_may_be_nobodys() {
    let policy = inbound(
        r#"<choose><when condition='@(context.User == null &amp;&amp; context.User?.Email == null)'>
        <set-header name="x-user"><value>@("nobody" + context.User?.Id)</value></set-header></when></choose>"#,
    );
    let mut exchange = Exchange { user: None, ..exchange() };
    exchange.apply(&policy.unwrap()[0], Section::Inbound);
    assert_eq!(exchange.headers["x-user"], "nobody");
}

#[test]
fn other_origins_may_call_when_they_are_allowed() {
    let policy = |origin: &str| {
        format!(
            "<cors><allowed-origins><origin>{origin}</origin></allowed-origins><allowed-methods \
             preflight-result-max-age='60'><method>PUT</method><method>POST</method></allowed-methods>\
             <allowed-headers><header>*</header></allowed-headers></cors>"
        )
    };
    let (_, allowed) = applied(&policy("http://page"));
    assert_eq!(allowed.response_headers["access-control-allow-origin"], "http://page");
    assert!(applied(&policy("http://other")).1.response_headers.is_empty());
    let mut preflight = exchange();
    preflight.method = Method::OPTIONS;
    preflight.headers.insert("access-control-request-method", "PUT".parse().unwrap());
    preflight.headers.insert("access-control-request-headers", "x-a".parse().unwrap());
    let flow = preflight.apply(&inbound(&policy("*")).unwrap()[0], Section::Inbound);
    assert!(matches!(flow, Flow::Answered(_)));
    let header = |name: &str| preflight.response_headers[name].to_str().unwrap();
    assert_eq!((header("access-control-allow-origin"), header("access-control-allow-methods")), ("*", "PUT"));
    assert_eq!((header("access-control-allow-headers"), header("access-control-max-age")), ("x-a", "60"));
}

#[test]
fn choose_does_what_the_first_condition_that_holds_says() {
    let chosen = |condition: &str| {
        let policy = format!(
            "<choose><when condition='{condition}'><set-method>PUT</set-method></when>\
             <when condition='true'><set-method>PATCH</set-method></when>\
             <otherwise><set-method>DELETE</set-method></otherwise></choose>"
        );
        applied(&policy).1.method == Method::PUT
    };
    for (condition, expected) in [
        (r#"@(context.Request.Method == "POST")"#, true),
        (r#"@(context.Request.Method != "POST")"#, false),
        (r#"@(context.Request.Headers.GetValueOrDefault("x-mine","") == "Value")"#, true),
        (r#"@(context.Request.Headers.GetValueOrDefault("x-none","other") == "other")"#, true),
        (r#"@(context.Request.Headers.ContainsKey("X-Mine"))"#, true),
        (r#"@(!context.Request.Headers.ContainsKey("x-none"))"#, true),
        (
            r#"@(context.Request.Url.Query.GetValueOrDefault("n") == "1" &amp;&amp; context.Subscription.Id == "sub")"#,
            true,
        ),
        (r#"@(context.Request.Url.Query.ContainsKey("x") || (context.Request.IpAddress.StartsWith("10.")))"#, true),
        (r#"@(context.Request.MatchedParameters["id"] == "7 8")"#, true),
        (r#"@(context.Request.Url.Path.Contains("/none"))"#, false),
        (r#"@(context.Response.StatusCode >= 200 &amp;&amp; context.Response.StatusCode &lt; 300)"#, true),
        (r#"@(context.Response.StatusCode == "200")"#, false),
        (r#"@(context.Variables.GetValueOrDefault<bool>("flag"))"#, true),
        (r#"@(context.Variables.ContainsKey("none") || (int)context.Variables["n"] > 2)"#, true),
        (r#"@(context.User == null || context.Subscription == null)"#, false),
        (r#"@(context.User.Email == "ada@example.org" &amp;&amp; context.User?.Id == "ada")"#, true),
    ] {
        assert_eq!(chosen(condition), expected, "{condition}");
    }
    let (_, exchange) = applied("<choose><when condition='false'><set-method>PUT</set-method></when></choose>");
    assert_eq!(exchange.method, Method::POST, "without otherwise nothing is done");
    let refusing =
        "<choose><when condition='true'><return-response><set-status code='403' /></return-response></when></choose>";
    assert_eq!(applied(refusing).0, "answered 403");
}

#[test]
fn what_choose_cannot_do_is_refused() {
    for (policies, expected) in [
        ("<choose />", "Required element 'when' not found"),
        ("<choose><when /></choose>", "Required attribute 'condition' not found"),
        ("<choose><otherwise /><when condition='true' /></choose>", "one 'otherwise' behind them"),
        (
            "<choose><when condition='@(context.Variables.Count &gt; 1)' /></choose>",
            "not supported by this node from `Count > 1`",
        ),
        ("<choose><when condition='@(context.User.Groups == null)' /></choose>", "not supported by this node from"),
        ("<choose><when condition='@(true' /></choose>", "has no end"),
        ("<choose><when condition='maybe' /></choose>", "expected a condition"),
        ("<choose><when condition='true'><base /></when></choose>", "not supported by this node in 'choose'"),
        (
            "<choose><when condition='true'><rate-limit calls='1' renewal-period='1' /></when></choose>",
            "not supported by this node in 'choose'",
        ),
    ] {
        let error = inbound(policies).unwrap_err();
        assert!(error.contains(expected), "{policies}: {error}");
    }
    let deep = format!("<choose><when condition='@({}true{})' /></choose>", "(".repeat(100), ")".repeat(100));
    assert!(inbound(&deep).unwrap_err().contains("within each other"));
}

#[test]
fn variables_are_set_for_what_comes_behind() {
    let policies = r#"<set-variable name="mobile" value="@(context.Request.Headers.GetValueOrDefault("x-mine","").Contains("Va")
            || context.Request.Headers.GetValueOrDefault("x-mine","").Contains("iPad"))" />
        <set-header name="x-mobile"><value>@((string)context.Variables["mobile"])</value></set-header>"#;
    let mut exchange = exchange();
    for policy in inbound(policies).unwrap() {
        exchange.apply(&policy, Section::Inbound);
    }
    assert_eq!(exchange.variables["mobile"], Value::Bool(true));
    assert_eq!(exchange.headers["x-mobile"], "True");
}

#[test]
fn limits_say_what_is_counted_and_told() {
    let policies = r#"<rate-limit calls="20" renewal-period="90" remaining-calls-variable-name="left" retry-after-header-name="x-wait">
            <api name="orders" calls="10" renewal-period="9"><operation id="get" calls="5" renewal-period="9" /></api>
        </rate-limit>
        <quota-by-key calls="5" renewal-period="3600" counter-key="k" increment-count="2"
            increment-condition="@(context.Response.StatusCode &gt;= 200 &amp;&amp; context.Response.StatusCode &lt; 300)"
            first-period-start="2026-01-01T00:00:00Z" />"#;
    let read = inbound(policies).unwrap();
    let [Policy::RateLimit(rate), Policy::Quota(quota)] = read.as_slice() else { panic!("{read:?}") };
    let told = (rate.told.remaining_variable.as_deref(), rate.told.retry_header.as_ref().map(HeaderName::as_str));
    assert_eq!(told, (Some("left"), Some("x-wait")));
    let parts: Vec<_> =
        rate.parts.iter().map(|part| (part.api.as_str(), part.operation.as_deref(), part.limit.calls)).collect();
    assert_eq!(parts, [("orders", Some("get"), 5), ("orders", None, 10)]);
    assert!(quota.counted.when.as_ref().unwrap().is_of_answer());
    assert_eq!(quota.first_period, Some(1_767_225_600_000));
}

#[test]
fn expressions_of_the_answer_are_known_as_such() {
    for (text, expected) in [
        ("2", false),
        (r#"@(context.Request.Headers.GetValueOrDefault("a","1"))"#, false),
        ("@(context.Response.StatusCode)", true),
        (r#"@("1" + context.Response.Headers.GetValueOrDefault("cost",""))"#, true),
        (r#"@((int)context.Variables["cost"])"#, true),
        ("@(context.Response.StatusCode == 200)", true),
    ] {
        assert_eq!(Expression::parse(text).unwrap().is_of_answer(), expected, "{text}");
    }
}

#[test]
fn named_values_make_no_document_longer_than_it_may_be() {
    let mut service = service();
    service.named_values.get_mut("g").unwrap().value = "<".repeat(4_096);
    let document = |times: usize| {
        let values = "{{greeting}}".repeat(times);
        let header = format!("<set-header name='a'><value>{values}</value></set-header>");
        let text = format!("<policies><inbound>{header}</inbound></policies>");
        PolicyDocument::parse(&text, &service).map_err(|error| error.to_string())
    };
    assert!(document(1).is_ok());
    // Filled in, these would be more than 300 MB.
    let refused = document(20_000).unwrap_err();
    assert!(refused.contains("at most 262144 bytes"), "{refused}");
    assert!(document(30_000).unwrap_err().contains("at most 262144 bytes"));
}

#[test]
fn documents_that_name_others_are_told_from_wrong_ones() {
    for (policies, names_other) in [
        ("<set-backend-service backend-id=\"none\" />", true),
        ("<set-header name=\"a\"><value>{{none}}</value></set-header>", true),
        ("<set-backend-service backend-id=\"none\">", false),
        ("<set-header name=\"a\"><value>{{greeting</value></set-header>", false),
        ("<foo />", false),
    ] {
        let text = format!("<policies><inbound>{policies}</inbound></policies>");
        let error = PolicyDocument::parse(&text, &service()).unwrap_err();
        assert_eq!(error.names_other, names_other, "{policies}: {error}");
    }
}
