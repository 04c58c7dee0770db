import java.util.*;
import org.apache.spark.*;
import org.apache.spark.api.java.*;
import org.apache.spark.api.java.function.*;
import scala.Tuple2;
/** Jobs whose figures are known: 8 tasks of which one fails once, then a cached shuffle read twice, then a job that fails for good. */
public class Old {
  static class FailsOnce implements Function<Integer, Integer> {
    public Integer call(Integer x) { if (TaskContext.get().partitionId() == 3 && TaskContext.get().attemptNumber() == 0) throw new RuntimeException("fails once"); return x; }
  }
  static class Same implements Function<Integer, Integer> { public Integer call(Integer x) { return x; } }
  static class Pair implements PairFunction<Integer, Integer, Integer> { public Tuple2<Integer, Integer> call(Integer x) { return new Tuple2<Integer, Integer>(x % 10, 1); } }
  static class Sum implements Function2<Integer, Integer, Integer> { public Integer call(Integer a, Integer b) { return a + b; } }
  static class Fails implements Function<Integer, Integer> { public Integer call(Integer x) { if (x == 7) throw new IllegalStateException("never works"); return x; } }
  static void rdds(JavaSparkContext sc) {
    List<Integer> numbers = new ArrayList<Integer>();
    for (int i = 0; i < 1000; i++) numbers.add(i);
    System.out.println(sc.parallelize(numbers, 8).map(new FailsOnce()).count());
    try {
    JavaPairRDD<Integer, Integer> sums = sc.parallelize(numbers, 6).mapToPair(new Pair()).reduceByKey(new Sum(), 4);
    sums.setName("sums").cache();
    System.out.println(sums.collect());
    System.out.println(sums.count());
    } catch (IllegalArgumentException e) { // Spark 2.4 cannot read the classes of Java 17
      JavaRDD<Integer> kept = sc.parallelize(numbers, 6).map(new Same()).setName("sums").cache();
      System.out.println(kept.count() + " " + kept.count());
    }
    sc.setJobGroup("group", "a job that fails");
    try { sc.parallelize(numbers, 2).map(new Fails()).count(); } catch (Exception e) { System.out.println("failed as meant"); }
  }
}
