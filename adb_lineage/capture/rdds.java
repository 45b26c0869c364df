package adb.lineage;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.lang.reflect.Field;
import java.net.URI;
import java.net.URLEncoder;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.StringUtils;

/**
 * Where the rows of an RDD come from: walks its dependencies as they were made, within limits, and asks the leaves.
 * Computes no partitions, expands no range, lists no files. Compiled in the driver JVM by Spark's own Janino, hence no
 * generics, no lambdas. Members that differ between Spark versions are found by name.
 */
public final class Rdds {

  private static final String INPUT_FOLDERS = "mapreduce.input.fileinputformat.inputdir";
  private static final String[] NO_SOURCE = {"ParallelCollectionRDD", "EmptyRDD", "BlockRDD", "RangeRDD", "BlackHoleRDD"};

  /**
   * A line for each source, its parts URL-encoded and parted by tabs: `path` and a path or glob; `folder` and a folder
   * of files; `jdbc`, URL and table or query; `table`, location and name; `unknown` and a class; `broadcast`
   * where the small side of a join is lost; `checkpoint` and
   * the number of an RDD whose former ones Spark has let go; `cut` and why the walk ended early.
   */
  public String sources(Object rdd, int maxRdds, int maxFolders, long millis) {
    Walk walk = new Walk(maxRdds, maxFolders, spent() + millis * 1000000L);
    walk.from(rdd);
    StringBuilder text = new StringBuilder();
    for (Iterator lines = walk.lines.keySet().iterator(); lines.hasNext();) text.append(lines.next()).append('\n');
    return text.toString();
  }

  /** The names of an RDD and of those before it, as OpenLineage's Spark agent names RDD jobs; at most 100 characters. */
  public String name(Object rdd) {
    StringBuilder name = new StringBuilder();
    Object one = rdd;
    for (int i = 0; i < 20 && one != null; i++) {
      Object own = call(one, "name");
      String part = own instanceof String ? (String) own : simpleName(one).replaceAll("RDD", "Rdd");
      if (name.length() + part.length() > 100) break;
      name.append(name.length() == 0 ? "" : " ").append(part);
      Object[] before = before(one);
      one = before.length == 1 ? before[0] : null;
    }
    return name.toString();
  }

  private static final class Walk {
    final Map lines = new LinkedHashMap();
    private final int maxRdds;
    private final int maxFolders;
    private final long deadline;

    Walk(int maxRdds, int maxFolders, long deadline) {
      this.maxRdds = maxRdds;
      this.maxFolders = maxFolders;
      this.deadline = deadline;
    }

    void from(Object root) {
      IdentityHashMap met = new IdentityHashMap();
      ArrayList todo = new ArrayList();
      todo.add(root);
      while (!todo.isEmpty()) {
        Object rdd = todo.remove(todo.size() - 1);
        if (rdd == null || met.put(rdd, rdd) != null) continue;
        if (met.size() > maxRdds) {
          line("cut", "more than " + maxRdds + " RDDs", null);
          return;
        }
        if (late()) return;
        if (source(rdd)) continue;
        if (holdsBroadcast(field(rdd, "f"), 4) || holdsBroadcast(field(rdd, "evaluatorFactory"), 4)) {
          line("broadcast", rdd.getClass().getName(), null);
        }
        Object[] before = before(rdd);
        for (int i = before.length - 1; i >= 0; i--) todo.add(before[i]);
        if (before.length == 0) end(rdd);
      }
    }

    /** An RDD without others before it that is no source we know. */
    private void end(Object rdd) {
      String kind = simpleName(rdd);
      for (int i = 0; i < NO_SOURCE.length; i++) if (NO_SOURCE[i].equals(kind)) return;
      if (kind.endsWith("CheckpointRDD") || field(rdd, "checkpointData") instanceof scala.Some) {
        line("checkpoint", String.valueOf(call(rdd, "id")), null);
      } else if (!"PythonRDD".equals(kind)) {
        line("unknown", rdd.getClass().getName(), null);
      }
    }

    private boolean late() {
      if (spent() - deadline < 0) return false;
      line("cut", "the walk took too long", null);
      return true;
    }

    /** Whether a function holds a broadcast among the objects of generated code: the small side of a join. */
    private static boolean holdsBroadcast(Object function, int depth) {
      if (function == null || depth == 0) return false;
      String name = function.getClass().getName();
      if (name.indexOf("$Lambda") < 0 && !name.endsWith("EvaluatorFactory")) return false;
      Field[] fields = function.getClass().getDeclaredFields();
      for (int i = 0; i < fields.length && i < 20; i++) {
        Object value = field(function, fields[i].getName());
        if (value instanceof Object[]) {
          Object[] objects = (Object[]) value;
          for (int j = 0; j < objects.length && j < 1000; j++) {
            if (objects[j] instanceof org.apache.spark.broadcast.Broadcast) return true;
          }
        } else if (holdsBroadcast(value, depth - 1)) {
          return true;
        }
      }
      return false;
    }

    /** Whether the RDD reads data itself. */
    private boolean source(Object rdd) {
      if (isA(rdd, "org.apache.spark.rdd.HadoopRDD")) return configured(call(rdd, "getJobConf"));
      if (isA(rdd, "org.apache.spark.rdd.NewHadoopRDD")) return configured(call(rdd, "getConf"));
      String kind = simpleName(rdd);
      if ("FileScanRDD".equals(kind)) {
        files(call(rdd, "filePartitions"));
        return true;
      }
      if ("JDBCRDD".equals(kind)) {
        Object options = field(rdd, "options");
        Object url = call(options, "url");
        Object source = call(options, "tableOrQuery");
        if (url != null && source != null) line("jdbc", url.toString(), source.toString());
        return true;
      }
      if ("DataSourceRDD".equals(kind)) {
        partitions(call(rdd, "inputPartitions"), rdd);
        return true;
      }
      return false;
    }

    private boolean configured(Object configuration) {
      if (!(configuration instanceof Configuration)) return false;
      String folders = ((Configuration) configuration).get(INPUT_FOLDERS);
      if (folders == null) {
        String format = ((Configuration) configuration).get("mapreduce.job.inputformat.class");
        line("unknown", format == null ? "a Hadoop input format without a path" : format, null);
        return true;
      }
      String[] paths = StringUtils.split(folders);
      for (int i = 0; i < paths.length && lines.size() < maxFolders; i++) {
        line("path", StringUtils.unEscapeString(paths[i]), null);
      }
      return true;
    }

    /** The folders of the files in file partitions. */
    private void files(Object partitions) {
      if (!(partitions instanceof scala.collection.Iterable)) return;
      scala.collection.Iterator all = ((scala.collection.Iterable) partitions).iterator();
      String last = null;
      while (all.hasNext()) {
        Object files = call(all.next(), "files");
        if (!(files instanceof Object[])) return;
        Object[] some = (Object[]) files;
        for (int i = 0; i < some.length; i++) {
          String folder = folder(some[i]);
          if (folder != null && !folder.equals(last)) line("folder", folder, null);
          last = folder;
        }
        if (lines.size() > maxFolders) {
          line("cut", "more than " + maxFolders + " folders", null);
          return;
        }
        if (late()) return;
      }
    }

    private static String folder(Object file) {
      try {
        Object path = call(file, "toPath");
        if (path == null) path = new Path(new URI(String.valueOf(call(file, "filePath"))));
        Path parent = ((Path) path).getParent();
        return parent == null ? null : parent.toString();
      } catch (Exception odd) {
        return null;
      }
    }

    /** Partitions of a V2 scan: files, or those of a table format that name their table. */
    private void partitions(Object partitions, Object rdd) {
      Object first = partitions;
      while (first instanceof scala.collection.Iterable) {
        scala.collection.Iterator some = ((scala.collection.Iterable) first).iterator();
        if (!some.hasNext()) return;
        Object next = some.next();
        if ("FilePartition".equals(simpleName(next))) {
          files(first);
          return;
        }
        first = next;
      }
      Object table = call(first, "table");
      Object location = call(table, "location");
      if (location != null) line("table", location.toString(), String.valueOf(call(table, "name")));
      else line("unknown", first == null ? rdd.getClass().getName() : first.getClass().getName(), null);
    }

    private void line(String kind, String value, String more) {
      try {
        String text = kind + "\t" + URLEncoder.encode(value, "UTF-8");
        if (more != null) text += "\t" + URLEncoder.encode(more, "UTF-8");
        lines.put(text, text);
      } catch (java.io.UnsupportedEncodingException impossible) {
        throw new IllegalStateException(impossible.toString());
      }
    }
  }

  /** The RDDs before one, from the fields that hold them: `dependencies()` may compute partitions, which lists files. */
  private static Object[] before(Object rdd) {
    ArrayList found = new ArrayList();
    Object dependencies = field(rdd, "dependencies_");
    if (dependencies == null) dependencies = field(rdd, "deps");
    add(found, dependencies, "rdd");
    if (found.isEmpty()) {
      String[] members = {"prev", "rdd1", "rdd2", "rdd3", "rdd4", "rdds", "parent"};
      for (int i = 0; i < members.length; i++) add(found, field(rdd, members[i]), null);
      if (found.isEmpty()) add(found, call(field(rdd, "dependency"), "rdd"), null);
    }
    return found.toArray();
  }

  private static void add(ArrayList found, Object value, String member) {
    if (value instanceof scala.collection.Iterable) {
      scala.collection.Iterator all = ((scala.collection.Iterable) value).iterator();
      while (all.hasNext()) add(found, all.next(), member);
    } else if (value != null) {
      Object rdd = member == null ? value : call(value, member);
      if (rdd != null && isA(rdd, "org.apache.spark.rdd.RDD")) found.add(rdd);
    }
  }

  private static boolean isA(Object target, String className) {
    for (Class kind = target.getClass(); kind != null; kind = kind.getSuperclass()) {
      if (kind.getName().equals(className)) return true;
    }
    return false;
  }

  private static String simpleName(Object target) {
    String name = target.getClass().getName();
    while (name.endsWith("$")) name = name.substring(0, name.length() - 1);
    return name.substring(Math.max(name.lastIndexOf('.'), name.lastIndexOf('$')) + 1);
  }

  /** Nanoseconds of work: this thread's processor time, elapsed time where the JVM can't tell. */
  private static long spent() {
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    long work = threads.isCurrentThreadCpuTimeSupported() ? threads.getCurrentThreadCpuTime() : -1L;
    return work < 0 ? System.nanoTime() : work;
  }

  /** The result of a method without arguments, or null where this Spark has none of that name. */
  private static Object call(Object target, String method) {
    if (target == null) return null;
    for (Class kind = target.getClass(); kind != null; kind = kind.getSuperclass()) {
      try {
        java.lang.reflect.Method found = kind.getDeclaredMethod(method, new Class[0]);
        found.setAccessible(true);
        return found.invoke(target, new Object[0]);
      } catch (NoSuchMethodException absent) {
        continue;
      } catch (Exception refused) {
        return null;
      }
    }
    try {
      return target.getClass().getMethod(method, new Class[0]).invoke(target, new Object[0]);
    } catch (Exception absent) {
      return null;
    }
  }

  /** The value of a field, also under the long name that Scala gives private fields of a parent class. */
  private static Object field(Object target, String name) {
    if (target == null) return null;
    for (Class kind = target.getClass(); kind != null; kind = kind.getSuperclass()) {
      Field[] fields = kind.getDeclaredFields();
      for (int i = 0; i < fields.length; i++) {
        if (fields[i].getName().equals(name) || fields[i].getName().endsWith("$$" + name)) {
          try {
            fields[i].setAccessible(true);
            Object value = fields[i].get(target);
            if (value != null) return value;
          } catch (Exception closed) {
            return null;
          }
        }
      }
    }
    return null;
  }
}
