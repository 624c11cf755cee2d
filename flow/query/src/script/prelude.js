// What stands in a script's world before the script: no clock and no chance, UTC as local time, and what `machine.rs` calls.
(() => {
  "use strict";
  const { parse, stringify } = JSON;
  const Instant = Date;

  const refuse = (what) => {
    throw new Error(`${what} is not there: a record that is read again would give another row`);
  };
  Math.random = () => refuse("Math.random()");
  Instant.now = () => refuse("Date.now()");

  // Local time is UTC, wherever the node stands.
  const parts = ["FullYear", "Month", "Date", "Day", "Hours", "Minutes", "Seconds", "Milliseconds"];
  const dates = Instant.prototype;
  for (const part of parts) {
    dates[`get${part}`] = dates[`getUTC${part}`];
    if (part !== "Day") dates[`set${part}`] = dates[`setUTC${part}`];
  }
  dates.getTimezoneOffset = () => 0;
  dates.toString = dates.toLocaleString = dates.toUTCString;
  dates.toDateString = dates.toLocaleDateString = function () { return this.toISOString().slice(0, 10); };
  dates.toTimeString = dates.toLocaleTimeString = function () { return this.toISOString().slice(11, 19); };
  const { parse: read, UTC } = Instant;
  const zoned = /(z|utc|gmt|[+-]\d\d:?\d\d)\s*(\(.*\))?$/i;
  const inUtc = (text) => {
    const time = zoned.test(text) ? NaN : read(`${text}Z`);
    return Number.isNaN(time) ? read(text) : time;
  };
  Instant.parse = (text) => inUtc(String(text));
  const given = (values) => {
    if (values.length === 0) refuse("new Date() without a time");
    if (values.length > 1) return [UTC(...values)];
    return typeof values[0] === "string" ? [inUtc(values[0])] : values;
  };
  globalThis.Date = new Proxy(Instant, {
    apply: () => refuse("Date()"),
    construct: (target, values, made) => Reflect.construct(target, given(values), made),
  });
  Object.defineProperty(dates, "constructor", { value: globalThis.Date });

  // A value as the query takes it: JSON, or nothing for NULL.
  const told = (value) => {
    if (value === null || value === undefined) return undefined;
    const kind = typeof value;
    const known = kind === "number" || kind === "string" || kind === "boolean" || kind === "object";
    if (!known || value instanceof Error || value instanceof Promise) {
      throw new TypeError(`a result of the type ${value instanceof Error ? "Error" : kind} is no value of a query`);
    }
    const text = stringify(value);
    return text === "null" ? undefined : text;
  };
  const taken = (text, isTime) => {
    const value = parse(text);
    return isTime && value !== null ? new Instant(value) : value;
  };
  const before = new Set(Object.getOwnPropertyNames(globalThis));
  const isName = /^[A-Za-z_$][\w$]*$/;
  const evaluate = globalThis.eval;
  const named = (name) => {
    const found = isName.test(name) ? evaluate(`typeof ${name} === "undefined" ? undefined : ${name}`) : undefined;
    return typeof found === "function" ? found : undefined;
  };
  const required = (entry) => {
    if (typeof entry !== "function") throw new TypeError("expected a function as the script");
    return entry;
  };

  return {
    // The function that a script of several statements means: `main`, the one of the function's own name, or the only one.
    find: (name) => {
      const own = Object.getOwnPropertyNames(globalThis).filter((known) => !before.has(known) && named(known));
      const entry = named("main") ?? named(name) ?? (own.length === 1 ? named(own[0]) : undefined);
      if (!entry) throw new TypeError(`expected a function \`main\` or \`${name}\``);
      return entry;
    },
    scalar: (entry) => {
      required(entry);
      return {
        call: (text, times = []) => {
          const values = parse(text);
          for (const place of times) {
            if (values[place] !== null) values[place] = new Instant(values[place]);
          }
          return told(entry(...values));
        },
      };
    },
    aggregate: (entry, isTime) => {
      const probe = new (required(entry))();
      for (const method of ["init", "accumulate", "computeResult"]) {
        if (typeof probe[method] !== "function") throw new TypeError(`expected the method \`${method}\` of an aggregate`);
      }
      let state;
      return {
        begin: () => {
          state = new entry();
          state.init();
        },
        add: (text, time) => state.accumulate(taken(text, isTime), new Instant(time)),
        result: () => told(state.computeResult()),
      };
    },
  };
})()
