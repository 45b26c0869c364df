package adb.lineage;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URLEncoder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;

/**
 * Hands finished SQL executions to readers that poll. Compiled in the driver JVM by Spark's own Janino, hence no
 * generics, no lambdas. The listener thread only puts one object into a bounded queue. Members that differ between
 * Spark versions and Databricks' fork are found by name.
 */
public final class Relay extends SparkListener {

  /** A finished execution; `header` is URL-encoded `key=value&key=value`, so one Py4J call brings all of it. */
  public static final class Item {
    public final long id;
    public final Object query;
    public final String session;
    private final String header;
    String reader;

    Item(long id, Object query, String session, String header) {
      this.id = id;
      this.query = query;
      this.session = session;
      this.header = header;
    }

    public long id() { return id; }
    public Object query() { return query; }
    public String header() { return header; }
  }

  private static final int MAX_OPEN_EXECUTIONS = 20000;
  private static final int MAX_STACK_CHARACTERS = 8000;

  private final int capacity;
  private final long leaseMillis;
  private final long sleepMillis;
  private final String[] allowedPrefixes;
  private final LinkedList waiting = new LinkedList();
  private final Map leased = new LinkedHashMap();
  private final Map lastSeen = new HashMap();
  private final Map starts = new LinkedHashMap();
  private final Map contexts = new LinkedHashMap();
  private long lastPoll = System.nanoTime();
  private long nextId;
  private long seen;
  private long dropped;
  private long unheard;
  private boolean ended;

  /** `allowedPrefixes`: the local properties that may leave the JVM; anything else (tokens) stays. */
  public Relay(int capacity, long leaseMillis, long sleepMillis, String[] allowedPrefixes) {
    this.capacity = capacity;
    this.leaseMillis = leaseMillis;
    this.sleepMillis = sleepMillis;
    this.allowedPrefixes = allowedPrefixes;
  }

  public void onJobStart(SparkListenerJobStart job) {
    Properties properties = job.properties();
    if (properties == null) return;
    String id = properties.getProperty("spark.sql.execution.id");
    if (id == null) return;
    synchronized (this) {
      if (asleep() || contexts.containsKey(id)) return;
      String context = allowed(properties);
      put(contexts, id, context);
      String root = properties.getProperty("spark.sql.execution.root.id");
      if (root != null && !contexts.containsKey(root)) put(contexts, root, context);
    }
  }

  public void onOtherEvent(SparkListenerEvent event) {
    if (event instanceof SparkListenerSQLExecutionStart) {
      SparkListenerSQLExecutionStart start = (SparkListenerSQLExecutionStart) event;
      StringBuilder header = new StringBuilder();
      add(header, "startTime", String.valueOf(start.time()));
      add(header, "description", start.description());
      Object root = unwrap(call(start, "rootExecutionId"));
      if (root != null) add(header, "rootExecutionId", String.valueOf(root));
      synchronized (this) {
        if (!asleep()) put(starts, String.valueOf(start.executionId()), header.toString());
      }
    } else if (event instanceof SparkListenerSQLExecutionEnd) {
      onEnd((SparkListenerSQLExecutionEnd) event);
    }
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
    Object failure = unwrap(call(end, "executionFailure"));
    if (failure instanceof Throwable) {
      StringWriter stack = new StringWriter();
      ((Throwable) failure).printStackTrace(new PrintWriter(stack));
      String text = stack.toString();
      add(header, "failureClass", failure.getClass().getName());
      add(header, "failureMessage", cut(String.valueOf(((Throwable) failure).getMessage())));
      add(header, "failureStack", cut(text));
    } else {
      Object message = unwrap(call(end, "errorMessage"));
      if (message != null && !"".equals(message)) add(header, "failureMessage", cut(String.valueOf(message)));
    }
    String session = query == null ? null : (String) call(call(query, "sparkSession"), "sessionUUID");
    if (session != null) add(header, "session", session);
    synchronized (this) {
      Object start = starts.remove(id);
      Object context = contexts.remove(id);
      seen++;
      if (query == null || asleep()) {
        unheard++;
        return;
      }
      if (waiting.size() + leased.size() >= capacity) {
        dropped++;
        return;
      }
      if (start != null) header.append('&').append(start);
      if (context != null && !"".equals(context)) header.append('&').append(context);
      waiting.add(new Item(nextId++, query, session, header.toString()));
      notifyAll();
    }
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
        if (session == null || session.equals(item.session)) {
          items.remove();
          item.reader = reader;
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

  /** `key=value&…`: counters since the start. `dropped`: queue full; `unheard`: nobody polled. */
  public synchronized String counters() {
    return "seen=" + seen + "&dropped=" + dropped + "&unheard=" + unheard + "&waiting=" + waiting.size()
        + "&leased=" + leased.size() + "&readers=" + lastSeen.size();
  }

  private void takeOver(long now) {
    List back = new ArrayList();
    for (Iterator items = leased.values().iterator(); items.hasNext();) {
      Item item = (Item) items.next();
      Long heard = (Long) lastSeen.get(item.reader);
      if (heard == null || now - heard.longValue() > leaseMillis * 1000000L) {
        items.remove();
        back.add(item);
      }
    }
    for (int i = back.size() - 1; i >= 0; i--) waiting.addFirst(back.get(i));
  }

  private boolean asleep() { return System.nanoTime() - lastPoll > sleepMillis * 1000000L; }

  private void forget() {
    unheard += waiting.size();
    waiting.clear();
    starts.clear();
    contexts.clear();
  }

  private static void put(Map map, String key, String value) {
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

  /** The value of a Scala Option; the databricks fork has plain values in some of these places. */
  private static Object unwrap(Object value) {
    if (value instanceof scala.Option) return ((scala.Option) value).isDefined() ? ((scala.Option) value).get() : null;
    return value;
  }
}
