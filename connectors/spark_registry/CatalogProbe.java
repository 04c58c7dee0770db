import java.io.File;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** Lists every configuration entry of the Spark whose jars are on the class path, as JSON on the given file. Starts no SparkContext. */
public final class CatalogProbe {
    private static final String[] PROBES = {"true", "7", "1.5", "3k", "3s", "-1", "zz_not_a_value"};
    private static final ClassLoader LOADER = CatalogProbe.class.getClassLoader();

    public static void main(String[] args) throws Exception {
        File jars = new File(args[0]);
        TreeSet<String> constants = new TreeSet<>();
        List<String> modules = new ArrayList<>();
        scan(jars, modules, constants);
        int failed = 0;
        for (String name : modules) {
            try {
                Class.forName(name, true, LOADER);
            } catch (Throwable t) {
                failed++;
            }
        }
        try (PrintStream out = new PrintStream(args[1], StandardCharsets.UTF_8)) {
            out.println("{\"entries\":{" + entries() + "},");
            out.println("\"deprecated\":{" + deprecated() + "},");
            out.println("\"alternatives\":{" + alternatives() + "},");
            out.println("\"removed_sql\":{" + sqlTable("removedSQLConfigs") + "},");
            out.println("\"deprecated_sql\":{" + sqlTable("deprecatedSQLConfigs") + "},");
            out.println("\"constants\":[" + String.join(",", constants.stream().map(CatalogProbe::quote).toList()) + "],");
            out.println("\"failed_modules\":" + failed + "}");
        }
    }

    /** Module classes that build entries (from their constant pools) and every constant that looks like a key. */
    private static void scan(File jars, List<String> modules, Set<String> constants) throws Exception {
        for (File file : Objects.requireNonNull(jars.listFiles(), "no such folder: " + jars)) {
            if (!file.getName().startsWith("spark-") || !file.getName().endsWith(".jar")) continue;
            try (ZipFile zip = new ZipFile(file)) {
                for (Enumeration<? extends ZipEntry> all = zip.entries(); all.hasMoreElements(); ) {
                    ZipEntry entry = all.nextElement();
                    if (!entry.getName().endsWith(".class")) continue;
                    String text = new String(zip.getInputStream(entry).readAllBytes(), StandardCharsets.ISO_8859_1);
                    if (entry.getName().endsWith("$.class")
                            && (text.contains("ConfigBuilder") || text.contains("buildConf") || text.contains("buildStaticConf"))) {
                        modules.add(entry.getName().substring(0, entry.getName().length() - 6).replace('/', '.'));
                    }
                    utf8Constants(text, constants);
                }
            }
        }
        Collections.sort(modules);
        modules.add(0, "org.apache.spark.internal.config.package$");
        modules.add(1, "org.apache.spark.SparkConf$");
    }

    private static void utf8Constants(String bytes, Set<String> found) {
        for (int at = bytes.indexOf("spark."); at >= 0; at = bytes.indexOf("spark.", at + 1)) {
            if (at < 3 || bytes.charAt(at - 3) != 1) continue;
            int length = bytes.charAt(at - 2) << 8 | bytes.charAt(at - 1);
            if (at + length > bytes.length()) continue;
            String constant = bytes.substring(at, at + length);
            if (constant.matches("spark\\.[A-Za-z0-9_.-]+[A-Za-z0-9]")) found.add(constant);
        }
    }

    private static String entries() throws Exception {
        Class<?> holder = Class.forName("org.apache.spark.internal.config.ConfigEntry$", true, LOADER);
        Object known = field(holder, holder.getField("MODULE$").get(null), "knownConfigs");
        if (known == null) known = field(Class.forName("org.apache.spark.internal.config.ConfigEntry"), null, "knownConfigs");
        Set<String> fixed = staticKeys();
        TreeMap<String, Object> sorted = new TreeMap<>();
        for (Map.Entry<?, ?> e : ((Map<?, ?>) known).entrySet()) sorted.put((String) e.getKey(), e.getValue());
        List<String> rows = new ArrayList<>();
        for (Map.Entry<String, Object> e : sorted.entrySet()) {
            Object entry = e.getValue();
            StringBuilder row = new StringBuilder(quote(e.getKey())).append(":{\"static\":").append(fixed.contains(e.getKey()));
            for (String property : new String[] {"doc", "version", "isPublic", "defaultValueString"}) {
                row.append(",\"").append(property).append("\":").append(quote(call(entry, property)));
            }
            row.append(",\"probe\":{").append(probe(call(entry, "valueConverter"))).append("}}");
            rows.add(row.toString());
        }
        return String.join(",\n", rows);
    }

    /** What the entry's own converter says to each probe: the class and text of the value, or the error. */
    private static String probe(Object converter) throws Exception {
        if (converter == null) return "";
        Method apply = Class.forName("scala.Function1").getMethod("apply", Object.class);
        List<String> answers = new ArrayList<>();
        for (String text : PROBES) {
            String answer;
            try {
                Object value = unwrapped(apply.invoke(converter, text));
                answer = "[" + quote(value == null ? "null" : value.getClass().getName()) + "," + quote(value) + "]";
            } catch (InvocationTargetException e) {
                answer = "[\"!\"," + quote(String.valueOf(e.getCause().getMessage())) + "]";
            }
            answers.add(quote(text) + ":" + answer);
        }
        return String.join(",", answers);
    }

    /** The converter of an optional entry wraps what it read in an Option; its type is that of what is inside. */
    private static Object unwrapped(Object value) {
        return value != null && value.getClass().getName().equals("scala.Some") ? call(value, "get") : value;
    }

    private static Set<String> staticKeys() throws Exception {
        Set<String> keys = new HashSet<>();
        Object held = field(sqlConf(), sqlConf().getField("MODULE$").get(null), "staticConfKeys");
        if (held instanceof Collection) {
            for (Object key : (Collection<?>) held) keys.add((String) key);
        } else {
            for (Object key : elements(held)) keys.add((String) key);
        }
        return keys;
    }

    private static Class<?> sqlConf() throws Exception {
        return Class.forName("org.apache.spark.sql.internal.SQLConf$", true, LOADER);
    }

    private static Object sparkConfTable(String name) throws Exception {
        Class<?> conf = Class.forName("org.apache.spark.SparkConf$", true, LOADER);
        return field(conf, conf.getField("MODULE$").get(null), name);
    }

    private static String deprecated() throws Exception {
        List<String> rows = new ArrayList<>();
        for (Object pair : elements(sparkConfTable("deprecatedConfigs"))) {
            Object value = call(pair, "_2");
            rows.add(quote(call(pair, "_1")) + ":[" + quote(call(value, "version")) + "," + quote(call(value, "deprecationMessage")) + "]");
        }
        return String.join(",\n", rows);
    }

    private static String alternatives() throws Exception {
        List<String> rows = new ArrayList<>();
        for (Object pair : elements(sparkConfTable("configsWithAlternatives"))) {
            for (Object old : elements(call(pair, "_2"))) {
                rows.add(quote(call(old, "key")) + ":[" + quote(call(old, "version")) + "," + quote(call(pair, "_1")) + "]");
            }
        }
        Class<?> holder = Class.forName("org.apache.spark.internal.config.ConfigEntry$", true, LOADER);
        Object known = field(holder, holder.getField("MODULE$").get(null), "knownConfigs");
        if (known == null) known = field(Class.forName("org.apache.spark.internal.config.ConfigEntry"), null, "knownConfigs");
        for (Map.Entry<?, ?> e : ((Map<?, ?>) known).entrySet()) {
            for (Object old : elements(call(e.getValue(), "alternatives"))) rows.add(quote(old) + ":[\"\"," + quote(e.getKey()) + "]");
        }
        return String.join(",\n", rows);
    }

    private static String sqlTable(String name) throws Exception {
        Object table = field(sqlConf(), sqlConf().getField("MODULE$").get(null), name);
        List<String> rows = new ArrayList<>();
        for (Object pair : elements(table)) {
            Object value = call(pair, "_2");
            rows.add(quote(call(pair, "_1")) + ":[" + quote(call(value, "version")) + "," + quote(call(value, "defaultValue")) + ","
                    + quote(call(value, "comment")) + "]");
        }
        return String.join(",\n", rows);
    }

    /** Newer compilers mangle private fields; the name then ends in {@code $$name}. */
    private static Object field(Class<?> owner, Object target, String name) throws Exception {
        for (Field f : owner.getDeclaredFields()) {
            if (f.getName().equals(name) || f.getName().endsWith("$$" + name)) {
                f.setAccessible(true);
                return f.get(target);
            }
        }
        return null;
    }

    private static Object call(Object target, String name) {
        for (Class<?> c = target.getClass(); c != null; c = c.getSuperclass()) {
            try {
                Method m = c.getDeclaredMethod(name);
                m.setAccessible(true);
                return m.invoke(target);
            } catch (NoSuchMethodException e) {
                continue;
            } catch (Throwable t) {
                return null;
            }
        }
        return null;
    }

    private static List<Object> elements(Object scalaCollection) throws Exception {
        List<Object> all = new ArrayList<>();
        if (scalaCollection == null) return all;
        Method iterator = scalaCollection.getClass().getMethod("iterator");
        iterator.setAccessible(true);
        Object it = iterator.invoke(scalaCollection);
        Method hasNext = Class.forName("scala.collection.Iterator").getMethod("hasNext");
        Method next = Class.forName("scala.collection.Iterator").getMethod("next");
        while ((Boolean) hasNext.invoke(it)) all.add(next.invoke(it));
        return all;
    }

    private static String quote(Object value) {
        if (value == null) return "null";
        StringBuilder b = new StringBuilder("\"");
        for (char c : value.toString().toCharArray()) {
            if (c == '"' || c == '\\') b.append('\\').append(c);
            else if (c < 32 || c > 126) b.append(String.format("\\u%04x", (int) c));
            else b.append(c);
        }
        return b.append('"').toString();
    }
}
