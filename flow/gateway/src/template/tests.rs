//! Templates and what they print; templates and why they are refused.

use serde_json::{Value, json};

use super::*;

fn rendered(template: &str, body: &str) -> Result<String, String> {
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    let document: Value = serde_json::from_str(body).unwrap_or_default();
    let document = Some(&document).filter(|document| !document.is_null());
    let parameters = json!({ "path": { "id": "7" }, "querystring": { "q": "a b" }, "header": { "x-mine": "m" } });
    let context = json!({ "requestId": "r1", "stage": "prod", "identity": { "sourceIp": "10.0.0.1" } });
    let variables = BTreeMap::from([("table".to_owned(), "trades".to_owned())]);
    let scope = Scope { body, document, parameters: &parameters, context: &context, variables: &variables };
    template.render(&scope).map_err(|error| error.to_string())
}

#[test]
fn templates_print_what_velocity_prints() {
    let body = r#"{"a": {"b": [1, 2]}, "name": "O'Neil \"x\"", "items": [{"n": "x"}, {"n": "y"}], "nothing": null}"#;
    for (template, expected) in [
        ("plain $ 5 # 1 \\$input.body #fff", "plain $ 5 # 1 $input.body #fff"),
        ("$input.json('$.a')", r#"{"b":[1,2]}"#),
        (r#"$input.json("$.a.b[1]")"#, "2"),
        ("$input.path('$.a.b').size()", "2"),
        ("$input.path('$.items')[1].n!", "y!"),
        ("$input.path('$.missing').x", ""),
        ("$input.params('id') $input.params('q') $input.params('X-Mine') [$input.params('z')]", "7 a b m []"),
        ("#foreach($k in $input.params().keySet())$k #end", "path querystring header "),
        ("$input.params().header.get('x-mine')", "m"),
        ("$context.requestId $context.identity.sourceIp $context.nothing.", "r1 10.0.0.1 ."),
        ("${stageVariables.table}-$stageVariables.get('table')", "trades-trades"),
        ("$util.escapeJavaScript($input.path('$.name'))", r#"O\'Neil \"x\""#),
        ("$util.urlEncode('a b&c') $util.urlDecode('a+b%26c')", "a+b%26c a b&c"),
        ("$util.base64Encode('hi') $util.base64Decode('aGk=')", "aGk= hi"),
        ("#set($o = $util.parseJson('{\"k\": [3]}'))$o.k[0]", "3"),
        ("#set($x = 1)\n#set($y = $x + 2 * 3)\n$y", "7"),
        ("#set($x = 'a')#set($y = \"${x}-$!{z}b\")$y $z ${z}", "a-b $z ${z}"),
        ("#if($input.path('$.nothing'))yes#{else}no#end", "no"),
        ("#if(1 > 2)a#elseif('a' == \"a\" && !false)b#else c#end", "b"),
        ("#if($input.params('q') != '' || 3 lt 2)set#end", "set"),
        ("[#foreach($i in $input.path('$.items'))\"$i.n\"#if($foreach.hasNext),#end#end]", r#"["x","y"]"#),
        ("#foreach($i in [1..3])$foreach.index$i#end", "011223"),
        ("#set($l = [])#set($d = $l.add('a'))#set($d = $l.add(2))$l $l.size() $l.contains('a')", "[\"a\",2] 2 true"),
        ("#set($m = {'a': 1})#set($d = $m.put('b', [true, null]))$m", r#"{"a":1,"b":[true,null]}"#),
        ("a ## gone\nb#* and\n this *#c", "a bc"),
        ("$input.body.substring(0, 4)", "{\"a\""),
    ] {
        assert_eq!(rendered(template, body).as_deref(), Ok(expected), "{template}");
    }
    assert_eq!(rendered("$input.json('$')", "no json").unwrap_err(), "the body is no JSON");
    assert_eq!(rendered("$input.body", "no json").as_deref(), Ok("no json"));
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    for (template, expected) in [
        ("a\n#if(true)", "line 2: `#if` without `#end`, found the end of the template"),
        ("#end", "line 1: `#end` without a directive before it"),
        ("\n\n#macro(x)", "line 3: the directive `#macro` is not supported"),
        ("$input.xpath('x')", "line 1: `$input` has no method `xpath` with 1 arguments"),
        ("$util.sha('x')", "line 1: `$util` has no method `sha`"),
        ("$input.json('$..a')", "line 1: `..a` in the path `$..a` is not supported"),
        ("$x.getClass()", "line 1: the method `getClass` with 0 arguments is not supported"),
        ("#set($x = )", "line 1: expected a value, found `)`"),
        ("#set($x = 'a", "line 1: a text without its end '"),
        ("#set($input = 1)", "line 1: `$input` cannot be set"),
        ("${x", "line 1: expected `}`, found the end of the template"),
        ("#foreach($x of $y)#end", "line 1: expected `in` behind the variable of `#foreach`"),
    ] {
        assert_eq!(rendered(template, "").unwrap_err(), expected, "{template}");
    }
    let deep = "#if(true)".repeat(500);
    assert!(rendered(&deep, "").unwrap_err().contains("nested deeper"));
    assert!(rendered(&"!".repeat(9_000), "").is_ok());
    assert!(rendered(&format!("#set($x = {}1)", "(".repeat(9_000)), "").unwrap_err().contains("nested deeper"));
}

#[test]
fn rendering_is_bounded() {
    for template in [
        "#set($x = 'aaaaaaaa')#foreach($i in [1..100])#set($x = $x + $x)#end",
        "#set($l = [1])#foreach($i in [1..100])#set($d = $l.add($l))#end",
        "#foreach($i in [1..2000])#end",
        "#foreach($a in [1..900])#foreach($b in [1..900])#foreach($c in [1..900])$a#end#end#end",
        "#set($x = 'a')#foreach($i in [1..100])#set($x = $x.replace('a', 'aaaaaaaa'))#end",
    ] {
        let error = rendered(template, "").unwrap_err();
        assert!(error.contains("more than") || error.contains("too long"), "{template}: {error}");
    }
}
