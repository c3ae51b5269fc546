package corelog.compat;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs the cases one by one; prints a line for each, one for each feature, and the counts at the end. */
final class Report {
    interface Step {
        void run(Cluster cluster) throws Exception;
    }

    private record Case(List<String> proves, String name, Step step) {}

    private final String only;
    private final List<Case> cases = new ArrayList<>();

    /** Only cases whose name contains {@code only} will run. */
    Report(String only) {
        this.only = only;
    }

    /** Adds a case; what it proves are words of features.tsv. */
    void add(String proves, String name, Step step) {
        cases.add(new Case(List.of(proves.split(" ")), name, step));
    }

    /** True if at least one case ran and all passed. */
    boolean run(Cluster cluster) {
        int passed = 0;
        int failed = 0;
        Map<String, Boolean> features = new LinkedHashMap<>();
        for (Case each : cases) {
            if (!each.name.contains(only)) {
                continue;
            }
            long begun = System.nanoTime();
            boolean good = false;
            try {
                each.step.run(cluster);
                good = true;
                passed++;
                System.out.printf("ok     %s (%d ms)%n", each.name, (System.nanoTime() - begun) / 1_000_000);
            } catch (Exception | AssertionError failure) {
                failed++;
                System.out.printf("FAILED %s%n", each.name);
                failure.printStackTrace(System.out);
            }
            for (String feature : each.proves) {
                features.merge(feature, good, Boolean::logicalAnd);
            }
        }
        features.forEach((feature, good) -> System.out.printf("feature %s %s%n", feature, good ? "passed" : "failed"));
        System.out.printf("%d passed, %d failed%n", passed, failed);
        return passed > 0 && failed == 0;
    }
}
