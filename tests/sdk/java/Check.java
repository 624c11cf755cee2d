import java.util.Objects;
import java.util.concurrent.Callable;

/** What a program expects; what is otherwise ends it. */
final class Check {
    private Check() {}

    static void that(boolean holds, Object seen) {
        if (!holds) {
            throw new AssertionError("seen: " + seen);
        }
    }

    static void equal(Object expected, Object seen) {
        if (!Objects.equals(expected, seen)) {
            throw new AssertionError("expected: " + expected + ", seen: " + seen);
        }
    }

    /** Gives the exception of this type with which a call fails. */
    static <E extends Exception> E fails(Class<E> type, Callable<?> call) {
        try {
            throw new AssertionError("expected: " + type.getName() + ", seen: " + call.call());
        } catch (Exception failure) {
            if (type.isInstance(failure)) {
                return type.cast(failure);
            }
            throw new AssertionError("expected: " + type.getName(), failure);
        }
    }
}
