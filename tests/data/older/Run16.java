import java.util.*;
import org.apache.spark.*;
import org.apache.spark.api.java.*;
import org.apache.spark.sql.*;
public class Run16 {
  public static void main(String[] a) {
    JavaSparkContext sc = new JavaSparkContext(new SparkConf());
    Old.rdds(sc);
    SQLContext sql = new SQLContext(sc);
    try {
      DataFrame d = sql.range(0, 1000, 1, 4);
      d.registerTempTable("numbers");
      for (Row r : sql.sql("SELECT id % 5 AS k, count(*) AS n FROM numbers GROUP BY id % 5").collect()) System.out.println(r);
    } catch (Throwable t) { t.printStackTrace(); }
    sc.stop();
  }
}
