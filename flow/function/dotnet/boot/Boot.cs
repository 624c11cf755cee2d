// Runs a .NET function: asks the runtime API for invocations and posts what the handler answers.
//
// C# 7, since the oldest compiler that machines without an SDK have reads no later one. There is no reference to
// Amazon.Lambda.*: whatever of it a package carries is found when it runs.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.Http;
using System.Reflection;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Millstream.Boot
{
    public static class Program
    {
        const string ErrorType = "Lambda-Runtime-Function-Error-Type";

        static readonly string Runtime = "http://" + Variable("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime";

        static readonly HttpClient Client =
            new HttpClient(new SocketsHttpHandler { UseProxy = false, PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan })
            {
                // The next invocation may be long in coming.
                Timeout = Timeout.InfiniteTimeSpan,
            };

        public static string Variable(string name) => Environment.GetEnvironmentVariable(name) ?? "";

        public static int Main() => Run().GetAwaiter().GetResult();

        static async Task<int> Run()
        {
            Handler handler;
            try
            {
                handler = Handler.Load(Variable("_HANDLER"), Variable("LAMBDA_TASK_ROOT"));
            }
            catch (Exception error)
            {
                var cause = Cause(error);
                Console.Error.WriteLine(cause);
                await Post("/init/error", ErrorDocument(cause), "Runtime." + cause.GetType().Name);
                return 1;
            }
            while (true)
            {
                await RunOne(handler);
            }
        }

        static async Task RunOne(Handler handler)
        {
            using (var next = await Client.GetAsync(Runtime + "/invocation/next"))
            {
                var invocation = new Invocation(next.Headers);
                Environment.SetEnvironmentVariable("_X_AMZN_TRACE_ID", invocation.TraceId);
                var payload = await next.Content.ReadAsByteArrayAsync();
                var path = "/invocation/" + invocation.Id;
                byte[] answer;
                try
                {
                    answer = await handler.Call(payload, invocation);
                }
                catch (Exception error)
                {
                    var cause = Cause(error);
                    Console.Error.WriteLine(cause);
                    await Post(path + "/error", ErrorDocument(cause), "Function." + cause.GetType().Name);
                    return;
                }
                await Post(path + "/response", answer, null);
            }
        }

        static async Task Post(string path, byte[] body, string errorType)
        {
            var content = new ByteArrayContent(body);
            content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
            using (var request = new HttpRequestMessage(HttpMethod.Post, Runtime + path) { Content = content })
            {
                if (errorType != null) request.Headers.TryAddWithoutValidation(ErrorType, errorType);
                using (var response = await Client.SendAsync(request)) await response.Content.ReadAsByteArrayAsync();
            }
        }

        // What the handler threw, without the wrapping of reflection and tasks.
        static Exception Cause(Exception error)
        {
            while ((error is TargetInvocationException || error is AggregateException) && error.InnerException != null)
            {
                error = error.InnerException;
            }
            return error;
        }

        static byte[] ErrorDocument(Exception error)
        {
            var trace = (error.StackTrace ?? "").Split('\n').Select(line => line.Trim()).Where(line => line != "");
            return JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
            {
                { "errorType", error.GetType().Name },
                { "errorMessage", error.Message },
                { "stackTrace", trace.ToArray() },
            });
        }
    }
}
