package adb.lineage;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.ref.SoftReference;
import java.net.URLEncoder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.UUID;
import java.util.regex.Pattern;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.scheduler.SparkListenerExecutorMetricsUpdate;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;

/**
 * Hands finished SQL executions, RDD jobs, and ended streaming queries to readers that poll. Compiled in the
 * driver JVM by Spark's own Janino, hence no generics, no lambdas. The listener thread only puts one object into a
 * bounded queue. When nobody has polled for a while the relay sleeps and keeps nothing. Members that differ between
 * Spark versions and Databricks' fork are found by name.
 */
public final class Relay extends SparkListener {

  /**
   * Something that has finished; `header` is URL-encoded `key=value&key=value`, so one Py4J call brings all of it.
   * `query` is the QueryExecution, the RDD of a job, or null; `stream` the streaming query it belongs to, or null. A
   * query holds its plans and what they broadcast: while it waits the JVM may take it back rather than run out of memory.
   */
  public static final class Item {
    public final long id;
    public final String session;
    private final SoftReference query;
    private final String header;
    private final Stream stream;
    private Object taken;
    String reader;

    Item(long id, Object query, String session, String header, Stream stream) {
      this.id = id;
      this.query = query == null ? null : new SoftReference(query);
      this.session = session;
      this.header = header;
      this.stream = stream;
    }

    public long id() { return id; }
    public Object query() { return taken; }
    public String header() { return header; }
    public Object stream() { return stream == null ? null : stream.execution; }

    /** Keeps the query for the reader; false when it is gone. */
    boolean take(String reader) {
      this.reader = reader;
      taken = query == null ? null : query.get();
      return query == null || taken != null;
    }

    void giveBack() { taken = null; }
  }

  /** A run of a streaming query. All of it goes to one reader, who knows what came before. */
  private static final class Stream {
    final String runId;
    final Object execution;
    final String session;
    final String header;
    String reader;

    Stream(String runId, Object execution, String header) {
      this.runId = runId;
      this.execution = execution;
      this.session = (String) call(call(execution, "sparkSession"), "sessionUUID");
      this.header = header;
    }
  }

  /** A running job that takes data elsewhere without Spark SQL. */
  private static final class Job {
    final Object rdd;
    final String header;
    final Stream stream;

    Job(Object rdd, String header, Stream stream) {
      this.rdd = rdd;
      this.header = header;
      this.stream = stream;
    }
  }

  private static final int MAX_OPEN_EXECUTIONS = 20000;
  private static final int MAX_STACK_CHARACTERS = 8000;
  private static final int MAX_RDDS = 2000;
  private static final int MAX_READS_OF_A_LINE = 1000;
  private static final List DRIVER_DATA =
      Arrays.asList(new Object[] {"ParallelCollectionRDD", "EmptyRDD", "RangeRDD", "BlockRDD"});
  private static final String[] RDD_API = {"org.apache.spark.rdd.", "org.apache.spark.SparkContext",
      "org.apache.spark.api.java.", "org.apache.spark.api.python.PythonRDD", "scala."};
  private static final Pattern SAVES = Pattern.compile("(?m)^org\\.apache\\.spark\\.[^(]*\\.saveAs");
  private static final String QUERY_ID = "sql.streaming.queryId";
  private static final String OUTPUT_FOLDER = "mapreduce.output.fileoutputformat.outputdir";

  private final SparkContext context;
  private final int capacity;
  private final long leaseMillis;
  private final long sleepMillis;
  private final String[] allowedPrefixes;
  private final LinkedList waiting = new LinkedList();
  private final Map leased = new LinkedHashMap();
  private final Map lastSeen = new HashMap();
  private final Map starts = new LinkedHashMap();
  private final Map contexts = new LinkedHashMap();
  private final Map jobs = new LinkedHashMap();
  private final Map reads = new LinkedHashMap();
  private final Map streams = new LinkedHashMap();
  private final Map streamIds = new LinkedHashMap();
  private final Map roots = new LinkedHashMap();
  private final Map withNested = new LinkedHashMap();
  private long lastPoll = System.nanoTime();
  private long nextId;
  private long seen;
  private long dropped;
  private long unheard;
  private long rddReads;
  private boolean ended;

  /** `allowedPrefixes`: the local properties that may leave the JVM; anything else (tokens) stays. */
  public Relay(SparkContext context, int capacity, long leaseMillis, long sleepMillis, String[] allowedPrefixes) {
    this.context = context;
    this.capacity = capacity;
    this.leaseMillis = leaseMillis;
    this.sleepMillis = sleepMillis;
    this.allowedPrefixes = allowedPrefixes;
  }

  public void onJobStart(SparkListenerJobStart job) {
    Properties properties = job.properties();
    if (properties == null) return;
    String id = properties.getProperty("spark.sql.execution.id");
    String streamId = properties.getProperty(QUERY_ID);
    if (id == null || streamId != null) noteJob(job, properties, streamId);
    if (id == null) return;
    synchronized (this) {
      if (asleep() || contexts.containsKey(id)) return;
      String context = allowed(properties);
      put(contexts, id, context);
      if (streamId != null) put(streamIds, id, streamId);
      String root = properties.getProperty("spark.sql.execution.root.id");
      if (root != null && !contexts.containsKey(root)) {
        put(contexts, root, context);
        if (streamId != null) put(streamIds, root, streamId);
      }
    }
  }

  public void onJobEnd(SparkListenerJobEnd end) {
    Job job;
    synchronized (this) {
      if (jobs.isEmpty()) return;
      job = (Job) jobs.remove(Integer.valueOf(end.jobId()));
    }
    if (job == null) return;
    StringBuilder header = new StringBuilder(job.header);
    add(header, "endTime", String.valueOf(end.time()));
    addFailure(header, call(end.jobResult(), "exception"));
    offer(job.rdd, job.stream == null ? null : job.stream.session, header, job.stream, false);
  }

  public void onOtherEvent(SparkListenerEvent event) {
    if (event instanceof SparkListenerSQLExecutionStart) {
      SparkListenerSQLExecutionStart start = (SparkListenerSQLExecutionStart) event;
      StringBuilder header = new StringBuilder();
      add(header, "startTime", String.valueOf(start.time()));
      add(header, "description", start.description());
      Object root = unwrap(call(start, "rootExecutionId"));
      if (root != null) add(header, "rootExecutionId", String.valueOf(root));
      String id = String.valueOf(start.executionId());
      synchronized (this) {
        if (asleep()) return;
        put(starts, id, header.toString());
        if (root != null && !id.equals(String.valueOf(root))) {
          put(roots, id, String.valueOf(root));
          put(withNested, String.valueOf(root), id);
        }
      }
    } else if (event instanceof SparkListenerSQLExecutionEnd) {
      onEnd((SparkListenerSQLExecutionEnd) event);
    } else if (event.getClass().getName().startsWith("org.apache.spark.sql.streaming.StreamingQueryListener$Query")) {
      String name = event.getClass().getSimpleName();
      if ("QueryStartedEvent".equals(name)) onStreamStart(event);
      else if ("QueryTerminatedEvent".equals(name)) onStreamEnd(event);
    }
  }

  /** Comes every few seconds, also when nobody runs anything: what no reader fetched in time is let go. */
  public synchronized void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate update) {
    if (asleep()) forget();
  }

  public synchronized void onApplicationEnd(SparkListenerApplicationEnd end) {
    ended = true;
    notifyAll();
  }

  private void onEnd(SparkListenerSQLExecutionEnd end) {
    String id = String.valueOf(end.executionId());
    Object query = call(end, "qe");
    StringBuilder header = new StringBuilder();
    add(header, "executionId", id);
    add(header, "endTime", String.valueOf(end.time()));
    Object name = unwrap(call(end, "executionName"));
    if (name != null) add(header, "executionName", String.valueOf(name));
    if (name != null && String.valueOf(name).endsWith("heckpoint")) {
      add(header, "beforeRdd", String.valueOf(value(SparkContext.class, "nextRddId", context)));
    }
    Object failure = unwrap(call(end, "executionFailure"));
    if (!addFailure(header, failure)) {
      Object message = unwrap(call(end, "errorMessage"));
      if (message != null && !"".equals(message)) add(header, "failureMessage", cut(String.valueOf(message)));
    }
    String session = query == null ? null : (String) call(call(query, "sparkSession"), "sessionUUID");
    boolean batch = query != null && "IncrementalExecution".equals(query.getClass().getSimpleName());
    Stream stream;
    synchronized (this) {
      Object start = starts.remove(id);
      Object context = contexts.remove(id);
      String streamId = (String) streamIds.remove(id);
      String root = (String) roots.remove(id);
      if (streamId == null && root != null) streamId = (String) streamIds.get(root);
      stream = stream(streamId, batch ? call(query, "runId") : null);
      if (start != null) header.append('&').append(start);
      if (context != null && !"".equals(context)) header.append('&').append(context);
      boolean alone = withNested.remove(id) == null;
      // Only where Spark names the root is it known that nothing ran inside.
      if (alone && context == null && start != null && String.valueOf(start).indexOf("rootExecutionId=") >= 0) {
        add(header, "idle", "true");
      }
      if (query == null) {
        seen++;
        unheard++;
        return;
      }
    }
    if (batch) add(header, "batch", "true");
    if (stream != null) session = stream.session;
    if (session != null) add(header, "session", session);
    offer(query, session, header, stream, false);
  }

  /** Queues an item unless nobody listens or the queue is full; the end of a stream is always taken. */
  private void offer(Object query, String session, StringBuilder header, Stream stream, boolean always) {
    synchronized (this) {  // as a modifier, Janino would lock the class: it makes private methods static
      seen++;
      if (asleep()) {
        forget();
        unheard++;
        return;
      }
      if (waiting.size() + leased.size() >= capacity && !always) {
        dropped++;
        return;
      }
      if (stream != null) header.append('&').append(stream.header);
      waiting.add(new Item(nextId++, query, session, header.toString(), stream));
      notifyAll();
    }
  }

  /**
   * Remembers a job outside Spark SQL: its result stage writes files through Hadoop's output formats, as RDD.saveAs…
   * does, hands its rows to a function of the user's, as foreach and foreachPartition do, or only reads.
   */
  private void noteJob(SparkListenerJobStart job, Properties properties, String streamId) {
    Object active = unwrap(get(call(call(context, "dagScheduler"), "jobIdToActiveJob"), Integer.valueOf(job.jobId())));
    Object stage = call(active, "finalStage");
    org.apache.hadoop.conf.Configuration conf = outputConfiguration(call(stage, "func"));
    String action = String.valueOf(call(stage, "name"));
    if (conf == null) {
      if (streamId != null) return;
      String stack = String.valueOf(call(stage, "details"));
      if (!action.startsWith("foreach") && !readsAnew(job, action, stack)) return;
    }
    StringBuilder header = new StringBuilder();
    add(header, "kind", "job");
    add(header, "executionId", String.valueOf(job.jobId()));
    add(header, "startTime", String.valueOf(job.time()));
    if (conf == null) {
      add(header, "executionName", action.indexOf(' ') < 0 ? action : action.substring(0, action.indexOf(' ')));
      add(header, "description", action);
    } else {
      add(header, "path", conf.get(OUTPUT_FOLDER));
      add(header, "format", conf.get("mapreduce.job.outputformat.class", conf.get("mapred.output.format.class")));
    }
    String allowed = allowed(properties);
    if (!"".equals(allowed)) header.append('&').append(allowed);
    synchronized (this) {
      if (asleep()) {
        seen++;
        unheard++;
        return;
      }
      put(jobs, Integer.valueOf(job.jobId()),
          new Job(call(stage, "rdd"), header.toString(), streamId == null ? null : stream(streamId, null)));
    }
  }

  /**
   * Whether a job that only reads has sources that nothing recorded has read: the same line of the program, or for
   * Spark's libraries, which run a job many times over the same data (MLlib, `df.stat`), anything. The rest is counted
   * alone, and so are jobs without a source and what Spark runs by itself: its look at a file's schema, the parts of a
   * plan behind an RDD, the first rows of what is about to be saved.
   */
  private boolean readsAnew(SparkListenerJobStart job, String action, String stack) {
    String sources = sourcesOf(job);
    String caller = caller(stack);
    String line = caller.startsWith("org.apache.spark.") ? "" : action;
    boolean sql = caller.startsWith("org.apache.spark.sql.") || caller.startsWith("com.databricks.sql.");
    boolean own = sql && caller.indexOf("StatFunctions") < 0 || SAVES.matcher(stack).find();
    synchronized (this) {
      int times = reads.containsKey(action) ? ((Integer) reads.get(action)).intValue() : 0;
      if (own || "".equals(sources) || reads.containsKey(line + sources) || times >= MAX_READS_OF_A_LINE) {
        rddReads++;
        return false;
      }
      if (!asleep()) {
        put(reads, action, Integer.valueOf(times + 1));
        put(reads, line + sources, Integer.valueOf(1));
      }
      return true;
    }
  }

  /** The first frame of a stack that is not the RDD API itself, in Scala, Java or Python's helper. */
  private static String caller(String stack) {
    String[] frames = stack.split("\n");
    for (int i = 0; i < frames.length; i++) {
      boolean api = false;
      for (int j = 0; j < RDD_API.length; j++) api = api || frames[i].startsWith(RDD_API[j]);
      if (!api) return frames[i];
    }
    return "";
  }

  /** The numbers of the RDDs that others were made of, but for those of the driver's own data; "" without any. */
  private static String sourcesOf(SparkListenerJobStart job) {
    TreeSet sources = new TreeSet();
    int left = MAX_RDDS;
    for (Object stages = call(call(job, "stageInfos"), "iterator"); more(stages);) {
      for (Object rdds = call(call(((scala.collection.Iterator) stages).next(), "rddInfos"), "iterator"); more(rdds);) {
        if (left-- == 0) return sources.toString();
        Object rdd = ((scala.collection.Iterator) rdds).next();
        if (!Boolean.TRUE.equals(call(call(rdd, "parentIds"), "isEmpty"))) continue;
        if (!DRIVER_DATA.contains(String.valueOf(call(rdd, "name")))) sources.add(call(rdd, "id"));
      }
    }
    return sources.isEmpty() ? "" : sources.toString();
  }

  private static boolean more(Object iterator) {
    return iterator instanceof scala.collection.Iterator && ((scala.collection.Iterator) iterator).hasNext();
  }

  /** The configuration of the output format that a result stage's function writes with, null for any other function. */
  private static org.apache.hadoop.conf.Configuration outputConfiguration(Object function) {
    if (function == null || function.getClass().getName().indexOf("SparkHadoopWriter") < 0) return null;
    java.lang.reflect.Field[] fields = function.getClass().getDeclaredFields();
    for (int i = 0; i < fields.length; i++) {
      Object value = value(fields[i], function);
      if (value != null && value.getClass().getName().endsWith("WriteConfigUtil")) {
        Object conf = call(field(value, "conf"), "value");
        if (conf instanceof org.apache.hadoop.conf.Configuration) return (org.apache.hadoop.conf.Configuration) conf;
      }
    }
    return null;
  }

  private void onStreamStart(Object event) {
    String id = String.valueOf(call(event, "id"));
    synchronized (this) {
      if (!asleep()) stream(id, call(event, "runId"));
    }
  }

  private void onStreamEnd(Object event) {
    Stream stream;
    synchronized (this) {
      stream = (Stream) streams.get(String.valueOf(call(event, "id")));
      if (stream == null || !stream.runId.equals(String.valueOf(call(event, "runId")))) return;
      streams.remove(String.valueOf(call(event, "id")));
    }
    StringBuilder header = new StringBuilder();
    add(header, "kind", "stream");
    add(header, "executionId", "-1");
    add(header, "endTime", String.valueOf(System.currentTimeMillis()));
    Object failure = unwrap(call(event, "exception"));
    if (failure != null) add(header, "failureMessage", cut(String.valueOf(failure)));
    add(header, "session", stream.session);
    offer(null, stream.session, header, stream, true);
  }

  /** The running stream of a query id; one that this relay has not met is looked up among Spark's active ones. */
  private Stream stream(String queryId, Object runId) {
    if (queryId == null) {
      if (runId == null) return null;
      for (Iterator all = streams.values().iterator(); all.hasNext();) {
        Stream one = (Stream) all.next();
        if (one.runId.equals(runId.toString())) return one;
      }
      return null;
    }
    Stream known = (Stream) streams.get(queryId);
    if (known != null && (runId == null || known.runId.equals(runId.toString()))) return known;
    Object execution = null;
    try {
      Object session = unwrap(Class.forName("org.apache.spark.sql.SparkSession", true, context.getClass().getClassLoader())
          .getMethod("getDefaultSession", new Class[0]).invoke(null, new Object[0]));
      Object active = call(call(session, "sharedState"), "activeStreamingQueries");
      if (active instanceof Map) execution = ((Map) active).get(UUID.fromString(queryId));
    } catch (Exception absent) {
      return known;
    }
    if (execution == null) return known;
    StringBuilder header = new StringBuilder();
    add(header, "streamId", queryId);
    add(header, "streamRun", String.valueOf(call(execution, "runId")));
    add(header, "streamStart", String.valueOf(System.currentTimeMillis()));
    Object name = call(execution, "name");
    if (name != null) add(header, "streamName", String.valueOf(name));
    Stream found = new Stream(String.valueOf(call(execution, "runId")), execution, header.toString());
    if (streams.size() >= MAX_OPEN_EXECUTIONS) streams.remove(streams.keySet().iterator().next());
    streams.put(queryId, found);
    return found;
  }

  private static boolean addFailure(StringBuilder header, Object failure) {
    if (!(failure instanceof Throwable)) return false;
    StringWriter stack = new StringWriter();
    ((Throwable) failure).printStackTrace(new PrintWriter(stack));
    add(header, "failureClass", failure.getClass().getName());
    add(header, "failureMessage", cut(String.valueOf(((Throwable) failure).getMessage())));
    add(header, "failureStack", cut(stack.toString()));
    return true;
  }

  /**
   * The next item for `reader`, or null after `millis`. The item stays the reader's until `done`, or until the reader
   * was silent for the lease while another one asks. `session` limits the reader to one session; null means all.
   */
  public synchronized Item take(String reader, String session, long millis) throws InterruptedException {
    long deadline = System.nanoTime() + millis * 1000000L;
    while (true) {
      long now = System.nanoTime();
      if (asleep()) forget();
      lastPoll = now;
      lastSeen.put(reader, Long.valueOf(now));
      takeOver(now);
      for (Iterator items = waiting.iterator(); items.hasNext();) {
        Item item = (Item) items.next();
        if ((session == null || item.session == null || session.equals(item.session)) && mayTake(reader, item, now)) {
          items.remove();
          if (!item.take(reader)) {
            dropped++;
            continue;
          }
          if (item.stream != null) item.stream.reader = reader;
          leased.put(Long.valueOf(item.id), item);
          return item;
        }
      }
      long left = (deadline - now) / 1000000L;
      if (left <= 0 || ended) return null;
      wait(Math.min(left, leaseMillis));
    }
  }

  /** The reader has stored the item durably; nothing here keeps it any longer. */
  public synchronized void done(String reader, long id) {
    lastSeen.put(reader, Long.valueOf(System.nanoTime()));
    leased.remove(Long.valueOf(id));
  }

  /** The reader leaves; what it had taken goes back. */
  public synchronized void leave(String reader) {
    lastSeen.remove(reader);
    takeOver(System.nanoTime());
    notifyAll();
  }

  /** True once the application has ended and every item is done: no reader need come back. */
  public synchronized boolean exhausted() { return ended && waiting.isEmpty() && leased.isEmpty(); }

  /** `key=value&…`: counters since the start. `dropped`: queue or memory full; `unheard`: nobody polled. */
  public synchronized String counters() {
    return "seen=" + seen + "&dropped=" + dropped + "&unheard=" + unheard + "&waiting=" + waiting.size()
        + "&leased=" + leased.size() + "&readers=" + lastSeen.size() + "&rdd_reads=" + rddReads;
  }

  private void takeOver(long now) {
    List back = new ArrayList();
    for (Iterator items = leased.values().iterator(); items.hasNext();) {
      Item item = (Item) items.next();
      Long heard = (Long) lastSeen.get(item.reader);
      if (heard == null || now - heard.longValue() > leaseMillis * 1000000L) {
        items.remove();
        item.giveBack();
        back.add(item);
      }
    }
    for (int i = back.size() - 1; i >= 0; i--) waiting.addFirst(back.get(i));
  }

  /** A stream stays with the reader who had it first, while that one is heard of. */
  private boolean mayTake(String reader, Item item, long now) {
    if (item.stream == null || item.stream.reader == null || item.stream.reader.equals(reader)) return true;
    Long heard = (Long) lastSeen.get(item.stream.reader);
    return heard == null || now - heard.longValue() > leaseMillis * 1000000L;
  }

  private boolean asleep() { return System.nanoTime() - lastPoll > sleepMillis * 1000000L; }

  private void forget() {
    unheard += waiting.size() + leased.size();
    waiting.clear();
    leased.clear();
    starts.clear();
    contexts.clear();
    jobs.clear();
    reads.clear();
    streamIds.clear();
    roots.clear();
    withNested.clear();
  }

  private static void put(Map map, Object key, Object value) {
    if (map.size() >= MAX_OPEN_EXECUTIONS) map.remove(map.keySet().iterator().next());
    map.put(key, value);
  }

  private String allowed(Properties properties) {
    StringBuilder text = new StringBuilder();
    for (Iterator names = properties.stringPropertyNames().iterator(); names.hasNext();) {
      String name = (String) names.next();
      for (int i = 0; i < allowedPrefixes.length; i++) {
        if (name.startsWith(allowedPrefixes[i])) {
          add(text, "p:" + name, properties.getProperty(name));
          break;
        }
      }
    }
    return text.toString();
  }

  private static void add(StringBuilder text, String key, String value) {
    if (value == null) return;
    try {
      if (text.length() > 0) text.append('&');
      text.append(URLEncoder.encode(key, "UTF-8")).append('=').append(URLEncoder.encode(value, "UTF-8"));
    } catch (java.io.UnsupportedEncodingException impossible) {
      throw new IllegalStateException(impossible.toString());
    }
  }

  private static String cut(String text) {
    return text.length() > MAX_STACK_CHARACTERS ? text.substring(0, MAX_STACK_CHARACTERS) : text;
  }

  /** The result of a method without arguments, or null where this Spark has none of that name. */
  private static Object call(Object target, String method) {
    if (target == null) return null;
    try {
      return target.getClass().getMethod(method, new Class[0]).invoke(target, new Object[0]);
    } catch (Exception absent) {
      return null;
    }
  }

  private static Object get(Object map, Object key) {
    return map instanceof scala.collection.Map ? ((scala.collection.Map) map).get(key) : null;
  }

  /** The value of a private field that the class itself declares, or null. */
  private static Object field(Object target, String name) {
    return target == null ? null : value(target.getClass(), name, target);
  }

  private static Object value(Class kind, String name, Object target) {
    try {
      return value(kind.getDeclaredField(name), target);
    } catch (Exception absent) {
      return null;
    }
  }

  private static Object value(java.lang.reflect.Field field, Object target) {
    try {
      field.setAccessible(true);
      return field.get(target);
    } catch (Exception closed) {
      return null;
    }
  }

  /** The value of a Scala Option; the databricks fork has plain values in some of these places. */
  private static Object unwrap(Object value) {
    if (value instanceof scala.Option) return ((scala.Option) value).isDefined() ? ((scala.Option) value).get() : null;
    return value;
  }
}
