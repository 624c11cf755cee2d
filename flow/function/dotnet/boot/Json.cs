// Events and answers for packages without a serializer of their own: names in any case, streams as base64, times as
// seconds since 1970 or as texts.
using System;
using System.IO;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Millstream.Boot
{
    public interface ISerializer
    {
        object Read(byte[] payload, Type type);
        byte[] Write(object answer, Type type);
    }

    public sealed class JsonText : ISerializer
    {
        readonly JsonSerializerOptions options = new JsonSerializerOptions { PropertyNameCaseInsensitive = true };

        public JsonText()
        {
            options.Converters.Add(new StreamConverter());
            options.Converters.Add(new TimeConverter());
        }

        public object Read(byte[] payload, Type type) => JsonSerializer.Deserialize(payload, type, options);

        public byte[] Write(object answer, Type type) => JsonSerializer.SerializeToUtf8Bytes(answer, type, options);
    }

    sealed class StreamConverter : JsonConverter<MemoryStream>
    {
        public override MemoryStream Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
            new MemoryStream(reader.GetBytesFromBase64());

        public override void Write(Utf8JsonWriter writer, MemoryStream value, JsonSerializerOptions options) =>
            writer.WriteBase64StringValue(value.ToArray());
    }

    sealed class TimeConverter : JsonConverter<DateTime>
    {
        static readonly DateTime Epoch = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc);

        public override DateTime Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
            reader.TokenType == JsonTokenType.Number ? Epoch.AddSeconds(reader.GetDouble()) : reader.GetDateTime();

        public override void Write(Utf8JsonWriter writer, DateTime value, JsonSerializerOptions options) =>
            writer.WriteStringValue(value);
    }
}
