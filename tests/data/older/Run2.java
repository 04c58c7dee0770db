import org.apache.spark.api.java.*;
import org.apache.spark.sql.*;
public class Run2 {
  public static void main(String[] a) {
    SparkSession s = SparkSession.builder().getOrCreate();
    Old.rdds(new JavaSparkContext(s.sparkContext()));
    try {
      s.range(0, 1000, 1, 4).createOrReplaceTempView("numbers");
      for (Row r : s.sql("SELECT id % 5 AS k, count(*) AS n FROM numbers GROUP BY id % 5").collectAsList()) System.out.println(r);
    } catch (Throwable t) { t.printStackTrace(); }
    s.stop();
  }
}
