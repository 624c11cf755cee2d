// The names of AWSSDK.Lambda that a handler needs to invoke another function, for machines without NuGet. Calls go to
// AWS_ENDPOINT_URL and are signed with what the function's process was given.
using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Tasks;
using Amazon.Lambda.Model;

namespace Amazon.Lambda
{
    public sealed class InvocationType
    {
        public static readonly InvocationType DryRun = new InvocationType("DryRun");
        public static readonly InvocationType Event = new InvocationType("Event");
        public static readonly InvocationType RequestResponse = new InvocationType("RequestResponse");

        InvocationType(string value)
        {
            Value = value;
        }

        public string Value { get; }
    }

    public sealed class AmazonLambdaException : Exception
    {
        public AmazonLambdaException(string message) : base(message)
        {
        }
    }

    public sealed class AmazonLambdaClient : IDisposable
    {
        readonly HttpClient client = new HttpClient(new SocketsHttpHandler { UseProxy = false });

        public async Task<InvokeResponse> InvokeAsync(InvokeRequest request)
        {
            var name = Uri.EscapeDataString(request.FunctionName);
            var endpoint = Variable("AWS_ENDPOINT_URL").TrimEnd('/');
            var message = new HttpRequestMessage(HttpMethod.Post, endpoint + "/2015-03-31/functions/" + name + "/invocations");
            var body = Encoding.UTF8.GetBytes(request.Payload ?? "");
            message.Content = new ByteArrayContent(body);
            message.Headers.Add("x-amz-invocation-type", (request.InvocationType ?? InvocationType.RequestResponse).Value);
            // What the function does is found again in the trail of its invocation.
            message.Headers.TryAddWithoutValidation("x-amzn-trace-id", Variable("_X_AMZN_TRACE_ID"));
            Sign(message, body);
            using (var answer = await client.SendAsync(message))
            {
                var payload = await answer.Content.ReadAsByteArrayAsync();
                if (!answer.IsSuccessStatusCode) throw new AmazonLambdaException(Encoding.UTF8.GetString(payload));
                return new InvokeResponse
                {
                    StatusCode = (int)answer.StatusCode,
                    FunctionError = Header(answer, "x-amz-function-error"),
                    Payload = new MemoryStream(payload),
                };
            }
        }

        public void Dispose() => client.Dispose();

        static string Header(HttpResponseMessage answer, string name) =>
            answer.Headers.Contains(name) ? answer.Headers.GetValues(name).First() : null;

        static string Variable(string name) => Environment.GetEnvironmentVariable(name) ?? "";

        // Signature Version 4, as the AWS reference describes it.
        static void Sign(HttpRequestMessage message, byte[] body)
        {
            var now = DateTime.UtcNow.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);
            message.Headers.Host = message.RequestUri.Authority;
            message.Headers.Add("x-amz-date", now);
            var token = Variable("AWS_SESSION_TOKEN");
            if (token != "") message.Headers.Add("x-amz-security-token", token);
            var names = new[] { "host", "x-amz-date", "x-amz-invocation-type", "x-amz-security-token" }
                .Where(name => message.Headers.Contains(name)).ToArray();
            var headers = string.Concat(names.Select(name => name + ":" + message.Headers.GetValues(name).Single() + "\n"));
            var signed = string.Join(";", names);
            // The path is escaped once more, segment by segment.
            var path = string.Join("/", message.RequestUri.AbsolutePath.Split('/').Select(Uri.EscapeDataString));
            var canonical = string.Join("\n", "POST", path, "", headers, signed, Hex(Hash(body)));
            var scope = string.Join("/", now.Substring(0, 8), Variable("AWS_REGION"), "lambda", "aws4_request");
            var text = string.Join("\n", "AWS4-HMAC-SHA256", now, scope, Hex(Hash(Encoding.UTF8.GetBytes(canonical))));
            var key = scope.Split('/').Aggregate(Encoding.UTF8.GetBytes("AWS4" + Variable("AWS_SECRET_ACCESS_KEY")), Hmac);
            var credential = Variable("AWS_ACCESS_KEY_ID") + "/" + scope;
            message.Headers.TryAddWithoutValidation("authorization",
                "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=" + signed + ", Signature=" + Hex(Hmac(key, text)));
        }

        static byte[] Hash(byte[] bytes)
        {
            using (var hash = SHA256.Create()) return hash.ComputeHash(bytes);
        }

        static byte[] Hmac(byte[] key, string text)
        {
            using (var hash = new HMACSHA256(key)) return hash.ComputeHash(Encoding.UTF8.GetBytes(text));
        }

        static string Hex(byte[] bytes) => string.Concat(bytes.Select(value => value.ToString("x2")));
    }
}

namespace Amazon.Lambda.Model
{
    public sealed class InvokeRequest
    {
        public string FunctionName { get; set; }
        public InvocationType InvocationType { get; set; }
        public string Payload { get; set; }
    }

    public sealed class InvokeResponse
    {
        public int StatusCode { get; set; }
        public string FunctionError { get; set; }
        public MemoryStream Payload { get; set; }
    }
}
