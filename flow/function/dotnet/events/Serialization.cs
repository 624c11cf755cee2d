// The serializers that packages name in their attribute, over the framework's own. Compiled together with the
// bootstrap's `Json.cs`.
using System.IO;
using Amazon.Lambda.Core;
using Millstream.Boot;

namespace Amazon.Lambda.Serialization.Json
{
    public class JsonSerializer : ILambdaSerializer
    {
        readonly JsonText json = new JsonText();

        public T Deserialize<T>(Stream requestStream)
        {
            using (var copy = new MemoryStream())
            {
                requestStream.CopyTo(copy);
                return (T)json.Read(copy.ToArray(), typeof(T));
            }
        }

        public void Serialize<T>(T response, Stream responseStream)
        {
            var bytes = json.Write(response, typeof(T));
            responseStream.Write(bytes, 0, bytes.Length);
        }
    }
}

namespace Amazon.Lambda.Serialization.SystemTextJson
{
    public class DefaultLambdaJsonSerializer : Amazon.Lambda.Serialization.Json.JsonSerializer
    {
    }
}
