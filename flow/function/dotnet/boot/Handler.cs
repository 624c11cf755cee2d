// A function's method: found by `Assembly::Namespace.Class::Method`, called in whichever style it is written.
using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Runtime.Loader;
using System.Text;
using System.Threading.Tasks;

namespace Millstream.Boot
{
    public sealed class Handler
    {
        readonly object instance;
        readonly MethodInfo method;
        readonly ISerializer serializer;

        Handler(object instance, MethodInfo method, ISerializer serializer)
        {
            this.instance = instance;
            this.method = method;
            this.serializer = serializer;
        }

        public static Handler Load(string handler, string folder)
        {
            var parts = handler.Split(new[] { "::" }, StringSplitOptions.None).Select(part => part.Trim()).ToArray();
            if (parts.Length != 3)
            {
                throw new ArgumentException(
                    "Invalid lambda function handler: '" + handler + "'. The valid format is 'ASSEMBLY::TYPE::METHOD'.");
            }
            ResolveFrom(folder);
            var path = Path.GetFullPath(Path.Combine(folder, parts[0] + ".dll"));
            if (!File.Exists(path)) throw new FileNotFoundException("Could not find the specified handler assembly with the file name '" + parts[0] + "'.");
            var assembly = AssemblyLoadContext.Default.LoadFromAssemblyPath(path);
            var type = assembly.GetType(parts[1]);
            if (type == null) throw new TypeLoadException("Unable to load type '" + parts[1] + "' from assembly '" + parts[0] + "'.");
            var method = Method(type, parts[2]);
            var instance = method.IsStatic ? null : Activator.CreateInstance(type);
            return new Handler(instance, method, SerializerOf(method, assembly));
        }

        // Assemblies of the package, and native libraries beside them.
        static void ResolveFrom(string folder)
        {
            AssemblyLoadContext.Default.Resolving += (context, name) =>
            {
                var path = Path.Combine(folder, name.Name + ".dll");
                return File.Exists(path) ? context.LoadFromAssemblyPath(path) : null;
            };
        }

        static MethodInfo Method(Type type, string name)
        {
            var all = type.GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static);
            var found = all.Where(method => method.Name == name).ToArray();
            if (found.Length == 0)
            {
                throw new MissingMethodException("Unable to find method '" + name + "' in type '" + type.FullName + "'.");
            }
            if (found.Length > 1)
            {
                throw new AmbiguousMatchException("Method '" + name + "' in type '" + type.FullName + "' is overloaded: a handler's name must be unique.");
            }
            if (found[0].IsGenericMethod) throw new ArgumentException("Handler method '" + name + "' is generic.");
            if (found[0].GetParameters().Length > 2) throw new ArgumentException("Handler method '" + name + "' takes more than an event and a context.");
            return found[0];
        }

        // The attribute of the method wins over the assembly's.
        static ISerializer SerializerOf(MethodInfo method, Assembly assembly)
        {
            var attributes = method.GetCustomAttributes().Concat(assembly.GetCustomAttributes());
            var attribute = attributes.FirstOrDefault(found => found.GetType().Name == "LambdaSerializerAttribute");
            if (attribute == null) return new JsonText();
            var type = (Type)attribute.GetType().GetProperty("SerializerType").GetValue(attribute);
            return new OwnSerializer(Activator.CreateInstance(type));
        }

        public async Task<byte[]> Call(byte[] payload, Invocation invocation)
        {
            var arguments = method.GetParameters().Select(parameter => Argument(parameter.ParameterType, payload, invocation));
            object answer;
            try
            {
                answer = method.Invoke(instance, arguments.ToArray());
            }
            catch (TargetInvocationException error) when (error.InnerException != null)
            {
                ExceptionDispatchInfo.Capture(error.InnerException).Throw();
                throw;
            }
            var type = method.ReturnType;
            if (answer is Task task)
            {
                await task;
                var result = type.IsGenericType ? type.GetGenericArguments()[0] : typeof(void);
                answer = result == typeof(void) ? null : task.GetType().GetProperty("Result").GetValue(task);
                type = result;
            }
            if (type == typeof(void) || answer == null) return Encoding.UTF8.GetBytes("null");
            if (answer is Stream stream)
            {
                using (var copy = new MemoryStream())
                {
                    stream.CopyTo(copy);
                    return copy.ToArray();
                }
            }
            return serializer.Write(answer, type);
        }

        object Argument(Type type, byte[] payload, Invocation invocation)
        {
            if (type.Name == "ILambdaContext") return Context.For(type, invocation);
            if (type == typeof(Stream)) return new MemoryStream(payload);
            return serializer.Read(payload, type);
        }
    }

    // The package's own serializer, whatever version of the interface it implements.
    public sealed class OwnSerializer : ISerializer
    {
        readonly object serializer;
        readonly MethodInfo read;
        readonly MethodInfo write;

        public OwnSerializer(object serializer)
        {
            this.serializer = serializer;
            read = serializer.GetType().GetMethods().First(method => method.Name == "Deserialize" && method.IsGenericMethod);
            write = serializer.GetType().GetMethods().First(method => method.Name == "Serialize" && method.IsGenericMethod);
        }

        public object Read(byte[] payload, Type type) =>
            read.MakeGenericMethod(type).Invoke(serializer, new object[] { new MemoryStream(payload) });

        public byte[] Write(object answer, Type type)
        {
            using (var stream = new MemoryStream())
            {
                write.MakeGenericMethod(type).Invoke(serializer, new[] { answer, stream });
                return stream.ToArray();
            }
        }
    }
}
