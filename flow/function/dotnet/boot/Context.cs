// What a handler may know of its invocation. The interfaces are the package's own, so they are implemented when it runs.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.Http.Headers;
using System.Reflection;
using System.Text.Json;

namespace Millstream.Boot
{
    // One invocation, from the headers that came with it.
    public sealed class Invocation
    {
        readonly HttpResponseHeaders headers;

        public Invocation(HttpResponseHeaders headers)
        {
            this.headers = headers;
        }

        public string Id => Header("Lambda-Runtime-Aws-Request-Id");
        public string Arn => Header("Lambda-Runtime-Invoked-Function-Arn");
        public string TraceId => Header("Lambda-Runtime-Trace-Id");
        public string ClientContext => Header("Lambda-Runtime-Client-Context");

        public TimeSpan Remaining
        {
            get
            {
                long deadline;
                long.TryParse(Header("Lambda-Runtime-Deadline-Ms"), out deadline);
                var left = deadline - DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
                return TimeSpan.FromMilliseconds(Math.Max(left, 0));
            }
        }

        string Header(string name)
        {
            IEnumerable<string> values;
            return headers.TryGetValues(name, out values) ? values.First() : null;
        }
    }

    public static class Context
    {
        public static object For(Type contract, Invocation invocation) =>
            Contract.Implement(contract, (called, arguments) => Answer(called, invocation));

        static object Answer(MethodInfo called, Invocation invocation)
        {
            switch (called.Name)
            {
                case "get_AwsRequestId": return invocation.Id;
                case "get_InvokedFunctionArn": return invocation.Arn;
                case "get_TraceId": return invocation.TraceId;
                case "get_FunctionName": return Program.Variable("AWS_LAMBDA_FUNCTION_NAME");
                case "get_FunctionVersion": return Program.Variable("AWS_LAMBDA_FUNCTION_VERSION");
                case "get_LogGroupName": return Program.Variable("AWS_LAMBDA_LOG_GROUP_NAME");
                case "get_LogStreamName": return Program.Variable("AWS_LAMBDA_LOG_STREAM_NAME");
                case "get_MemoryLimitInMB": return int.Parse(Program.Variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
                case "get_RemainingTime": return invocation.Remaining;
                case "get_Logger": return Contract.Implement(called.ReturnType, Log);
                case "get_ClientContext": return ClientContext(called.ReturnType, invocation.ClientContext);
                default: return null;
            }
        }

        // `Log` and `LogLine` take a text; the others have a level first, and values for the text's places behind it.
        static object Log(MethodInfo called, object[] arguments)
        {
            var text = arguments.OfType<string>().LastOrDefault() ?? "";
            var values = arguments.OfType<object[]>().LastOrDefault();
            if (values != null && values.Length > 0) text = text + " " + string.Join(" ", values);
            var error = arguments.OfType<Exception>().FirstOrDefault();
            if (error != null) text = text + Environment.NewLine + error;
            if (called.Name == "Log" && arguments.Length == 1) Console.Write(text);
            else Console.WriteLine(text);
            return null;
        }

        static object ClientContext(Type contract, string document)
        {
            if (string.IsNullOrEmpty(document)) return null;
            var whole = JsonDocument.Parse(document).RootElement;
            return Contract.Implement(contract, (called, arguments) =>
            {
                switch (called.Name)
                {
                    case "get_Custom": return Texts(whole, "custom");
                    case "get_Environment": return Texts(whole, "env");
                    default: return null;
                }
            });
        }

        static IDictionary<string, string> Texts(JsonElement whole, string member)
        {
            JsonElement found;
            if (!whole.TryGetProperty(member, out found)) return new Dictionary<string, string>();
            return found.EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.ToString());
        }
    }

    // Implements an interface that is known only when it runs.
    public class Contract : DispatchProxy
    {
        Func<MethodInfo, object[], object> answer;

        public static object Implement(Type contract, Func<MethodInfo, object[], object> answer)
        {
            var create = typeof(DispatchProxy).GetMethods().First(method => method.Name == "Create" && method.IsGenericMethodDefinition);
            var made = create.MakeGenericMethod(contract, typeof(Contract)).Invoke(null, null);
            ((Contract)made).answer = answer;
            return made;
        }

        protected override object Invoke(MethodInfo called, object[] arguments) => answer(called, arguments);
    }
}
