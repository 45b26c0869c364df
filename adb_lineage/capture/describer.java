package adb.lineage;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.lang.reflect.Parameter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.ExprId;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.plans.QueryPlan;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.Metadata;

/**
 * Writes a plan as JSON text within a limit of characters and time, each tree once: plans share subplans, and Spark's
 * own `toJSON` and `collectLeaves` visit those again and again. The text has the elements of `toJSON` (a flat
 * pre-order array, fields named by constructor parameters); operators are marked, a tree that came before is
 * `{"ref": n}`, or `{"tree": n}` where it stands alone, n being its place among all elements of the text. Functions
 * have their `sql-name`.
 * Compiled in the driver JVM by Spark's own Janino, hence no generics, no lambdas. Asks plans nothing but their
 * constructor parameters and children.
 */
public final class Describer {

  /** What became of one plan: the text in one call, and the JVM object of each operator by its place in the text. */
  public static final class Description {
    private final String text;
    private final List operators;

    Description(String text, List operators) {
      this.text = text;
      this.operators = operators;
    }

    public String text() { return text; }
    public Object operator(int place) { return operators.get(place); }
  }

  /** The text would be longer, or take longer, than allowed. */
  private static final class TooMuch extends RuntimeException {
    TooMuch(String reason) { super(reason); }
  }

  private static final int MAX_STRING = 4000;
  private static final int MAX_LITERAL = 200;
  private static final int MAX_VALUES = 2000;
  private static final int MAX_NESTING = 100;
  private static final Map NAMES = new HashMap();

  /**
   * The plan in as much detail as fits: `all`; `operators` (expressions left out, but for the columns of leaves); or
   * `leaves` (the root's class and those of the leaves that were found in time).
   */
  public Description describe(Object plan, int maxCharacters, int maxLeaves, long millis) {
    long started = spent();
    String reason = "";
    for (int detail = Writer.ALL; detail >= Writer.OPERATORS; detail--) {
      Writer writer = new Writer(detail, maxCharacters, started + millis * 500000L * (3 - detail));
      try {
        writer.flat((TreeNode) plan);
        return writer.finish(detail == Writer.ALL ? "all" : "operators", reason);
      } catch (TooMuch problem) {
        reason = problem.getMessage();
      } catch (StackOverflowError problem) {
        reason = "expressions are nested too deeply";
      } catch (RuntimeException problem) {
        reason = "a part of it can't be told (" + problem.getClass().getName() + ")";
      }
    }
    Leaves leaves = new Leaves(maxLeaves, started + millis * 1500000L);
    return leaves.describe((TreeNode) plan, reason);
  }

  /** Builds the text of one plan at one level of detail. */
  private static final class Writer {
    static final int OPERATORS = 1;
    static final int ALL = 2;

    private final int detail;
    private final int maxCharacters;
    private final long deadline;
    private final StringBuilder text = new StringBuilder(4096);
    private final StringBuilder types = new StringBuilder();
    private final Map places = new IdentityHashMap();
    private final Map typePlaces = new IdentityHashMap();
    private final List operators = new ArrayList();
    private int nesting;

    Writer(int detail, int maxCharacters, long deadline) {
      this.detail = detail;
      this.maxCharacters = maxCharacters;
      this.deadline = deadline;
    }

    Description finish(String level, String reason) {
      StringBuilder all = new StringBuilder(text.length() + types.length() + 200);
      all.append("{\"detail\":\"").append(level).append("\",\"reason\":");
      string(all, reason, MAX_STRING);
      all.append(",\"types\":[").append(types).append("],\"plan\":").append(text).append('}');
      return new Description(all.toString(), operators);
    }

    /** A tree as a flat array, its nodes in pre-order; only trees inside fields recurse. */
    void flat(TreeNode root) {
      if (++nesting > MAX_NESTING) throw new TooMuch("expressions are nested too deeply");
      ArrayList todo = new ArrayList();
      todo.add(root);
      text.append('[');
      String comma = "";
      while (!todo.isEmpty()) {
        TreeNode node = (TreeNode) todo.remove(todo.size() - 1);
        text.append(comma);
        comma = ",";
        Object place = places.get(node);
        if (place != null) {
          text.append("{\"ref\":").append(place).append('}');
          continue;
        }
        places.put(node, Integer.valueOf(operators.size()));
        operators.add(node instanceof QueryPlan ? node : null);
        check();
        Object[] children = elements(node.children());
        element(node, children);
        for (int i = children.length - 1; i >= 0; i--) todo.add(children[i]);
      }
      text.append(']');
      nesting--;
    }

    private void check() {
      if (text.length() + types.length() > maxCharacters) {
        throw new TooMuch("its description is longer than " + maxCharacters + " characters");
      }
      if ((operators.size() & 63) == 0 && spent() - deadline > 0) {
        throw new TooMuch("describing it took too long");
      }
    }

    private void element(TreeNode node, Object[] children) {
      text.append("{\"class\":\"").append(node.getClass().getName());
      text.append("\",\"num-children\":").append(children.length);
      if (node instanceof QueryPlan) text.append(",\"operator\":true");
      if (node instanceof Expression) function((Expression) node);
      Object[] values = parameters(node);
      String[] names = names(node, values.length);
      boolean expression = node instanceof Expression;
      boolean literal = node.getClass().getName().endsWith(".Literal");
      boolean terse = detail < ALL && children.length > 0;
      for (int i = 0; i < values.length; i++) {
        if (values[i] instanceof Metadata || (expression && isIdle(names[i], values[i]))) continue;
        text.append(',');
        string(text, names[i], MAX_STRING);
        text.append(':');
        if (literal && i == 0) literal(values[i]);
        else value(values[i], children, terse, 0);
      }
      if (terse) inner(values);
      text.append('}');
    }

    /** Parameters of expressions that say nothing about columns: there are very many expressions. */
    private boolean isIdle(String name, Object value) {
      return value == null || value == scala.None$.MODULE$ || name.equals("nullable") || name.equals("timeZoneId")
          || name.equals("nonInheritableMetadataKeys");
    }

    /** The function's name in SQL, which the class does not always tell. */
    private void function(Expression expression) {
      String kind = expression.getClass().getName();
      if (kind.endsWith(".AttributeReference") || kind.endsWith(".Literal")) return;
      String name;
      try {
        name = expression.prettyName();
      } catch (RuntimeException unnamed) {
        return;
      }
      if (kind.toLowerCase().endsWith("." + name)) return;
      text.append(",\"sql-name\":");
      string(text, name, MAX_STRING);
    }

    /** The plans inside expressions that are left out. */
    private void inner(Object[] values) {
      ArrayList plans = new ArrayList();
      Map met = new IdentityHashMap();
      ArrayList todo = new ArrayList();
      for (int i = values.length - 1; i >= 0; i--) todo.add(values[i]);
      for (int count = 1; !todo.isEmpty(); count++) {
        if ((count & 1023) == 0) check();
        Object one = todo.remove(todo.size() - 1);
        if (one instanceof QueryPlan) {
          if (met.size() > 0) plans.add(one);
        } else if (one instanceof TreeNode) {
          if (met.put(one, one) != null) continue;
          Object[] below = parameters((TreeNode) one);
          for (int i = below.length - 1; i >= 0; i--) {
            if (below[i] instanceof QueryPlan) plans.add(below[i]); else todo.add(below[i]);
          }
        } else if (one instanceof scala.collection.Iterable && !(one instanceof scala.collection.Map)) {
          if (isData(one)) continue;
          Object[] many = elements(one);
          for (int i = many.length - 1; i >= 0; i--) if (!(many[i] instanceof QueryPlan)) todo.add(many[i]);
        } else if (one instanceof scala.Option && ((scala.Option) one).isDefined()) {
          todo.add(((scala.Option) one).get());
        }
      }
      if (plans.isEmpty()) return;
      text.append(",\"subqueries\":[");
      for (int i = 0; i < plans.size(); i++) {
        if (i > 0) text.append(',');
        flat((TreeNode) plans.get(i));
      }
      text.append(']');
    }

    private void value(Object value, Object[] children, boolean terse, int depth) {
      if (value instanceof scala.Option) {
        value = ((scala.Option) value).isDefined() ? ((scala.Option) value).get() : null;
      }
      if (value == null) {
        text.append("null");
      } else if (value instanceof TreeNode) {
        int child = place(value, children);
        if (child >= 0) text.append(child);
        else if (terse && !(value instanceof QueryPlan)) text.append("null");
        else if (places.containsKey(value)) text.append("{\"tree\":").append(places.get(value)).append('}');
        else flat((TreeNode) value);
      } else if (value instanceof Boolean || value instanceof Integer || value instanceof Long
          || value instanceof Short || value instanceof Byte) {
        text.append(value);
      } else if (value instanceof String || value instanceof Number || value instanceof Character
          || value instanceof java.util.UUID || value instanceof Enum) {
        string(text, String.valueOf(value), MAX_STRING);
      } else if (value instanceof ExprId) {
        text.append("{\"id\":").append(((ExprId) value).id());
        text.append(",\"jvmId\":\"").append(((ExprId) value).jvmId()).append("\"}");
      } else if (value instanceof DataType) {
        if (depth == 0) type((DataType) value); else text.append("null");
      } else if (value instanceof scala.collection.Map) {
        text.append("null");
      } else if (value instanceof scala.collection.Iterable) {
        list(value, children, terse, depth);
      } else if (value.getClass().getName().endsWith("$")) {
        text.append("{\"object\":\"").append(value.getClass().getName()).append("\"}");
      } else if (value instanceof scala.Product && depth < 4
          && (value.getClass().getName().startsWith("org.apache.spark.sql.catalyst.")
          || value.getClass().getName().endsWith(".types.StructField"))) {
        product((scala.Product) value, depth);
      } else {
        text.append("null");
      }
    }

    private void list(Object value, Object[] children, boolean terse, int depth) {
      if (isData(value)) {
        text.append("null");
        return;
      }
      Object[] many = elements(value);
      boolean trees = many.length > 0 && (many[0] instanceof TreeNode || many[0] instanceof scala.collection.Iterable);
      if (many.length > MAX_VALUES && !trees && !(many[0] instanceof String)) {
        text.append("null");
        return;
      }
      text.append('[');
      int written = 0;
      for (int i = 0; i < many.length; i++) {
        if (terse && many[i] instanceof TreeNode && !(many[i] instanceof QueryPlan)) continue;
        if (written++ > 0) text.append(',');
        value(many[i], children, terse, depth);
        if ((i & 1023) == 1023) check();
      }
      text.append(']');
    }

    /** A small value class of Catalyst (an ExprId, a table identifier, a join type); types and maps in it stay out. */
    private void product(scala.Product value, int depth) {
      Object[] values = elements(value.productIterator());
      String[] names = names(value, values.length);
      text.append("{\"product-class\":\"").append(value.getClass().getName()).append('"');
      for (int i = 0; i < values.length; i++) {
        text.append(',');
        string(text, names[i], MAX_STRING);
        text.append(':');
        value(values[i], new Object[0], false, depth + 1);
      }
      text.append('}');
    }

    /** Literals are cut: they may be whole documents. */
    private void literal(Object value) {
      if (value == null) text.append("null");
      else if (value instanceof Boolean || value instanceof Integer || value instanceof Long
          || value instanceof Short || value instanceof Byte) text.append(value);
      else if (value instanceof Number || value.getClass().getName().endsWith(".UTF8String")
          || value.getClass().getName().endsWith(".Decimal")) string(text, String.valueOf(value), MAX_LITERAL);
      else text.append("null");
    }

    /** A simple type by name; any other once for all its uses, as wide structs repeat in every expression on them. */
    private void type(DataType type) {
      Object known = typePlaces.get(type);
      if (known == null) {
        String json;
        try {
          json = type.json();
        } catch (RuntimeException unwritable) {
          json = "\"" + type.typeName() + "\"";
        }
        if (json.startsWith("\"")) {
          known = json;
        } else {
          if (types.length() > 0) types.append(',');
          types.append(json);
          known = "{\"type-ref\":" + numberOfTypes++ + "}";
        }
        typePlaces.put(type, known);
      }
      text.append(known);
    }

    private int numberOfTypes;
  }

  /** The last resort: which leaves are there, as far as they are found within the limits. */
  private static final class Leaves {
    private final int max;
    private final long deadline;
    private final List operators = new ArrayList();
    private final Map met = new IdentityHashMap();

    Leaves(int max, long deadline) {
      this.max = max;
      this.deadline = deadline;
    }

    Description describe(TreeNode root, String reason) {
      boolean complete = true;
      ArrayList todo = new ArrayList();
      todo.add(root);
      operators.add(root);
      for (int count = 1; !todo.isEmpty(); count++) {
        Object one = todo.remove(todo.size() - 1);
        if (one instanceof TreeNode) {
          if (met.put(one, one) != null) continue;
          complete = below((TreeNode) one, root, todo) && complete;
        } else if (one instanceof scala.Option) {
          if (((scala.Option) one).isDefined()) todo.add(((scala.Option) one).get());
        } else if (one instanceof scala.collection.Iterable && !(one instanceof scala.collection.Map)) {
          if (!isData(one)) push(todo, elements(one));
        }
        if (operators.size() > max || ((count & 1023) == 0 && spent() - deadline > 0)) {
          complete = false;
          break;
        }
      }
      StringBuilder text = new StringBuilder("{\"detail\":\"leaves\",\"complete\":").append(complete);
      text.append(",\"reason\":");
      string(text, reason, MAX_STRING);
      text.append(",\"types\":[],\"plan\":[");
      for (int i = 0; i < operators.size(); i++) {
        text.append(i == 0 ? "" : ",").append("{\"class\":\"").append(operators.get(i).getClass().getName());
        text.append("\",\"operator\":true,\"num-children\":").append(i == 0 ? operators.size() - 1 : 0).append('}');
      }
      return new Description(text.append("]}").toString(), operators);
    }

    /** What a tree has below it; false where it can't tell. */
    private boolean below(TreeNode node, TreeNode root, List todo) {
      boolean complete = true;
      try {
        push(todo, parameters(node));
      } catch (RuntimeException broken) {
        complete = false;
      }
      try {
        if (node instanceof QueryPlan && node != root && node.children().isEmpty()) operators.add(node);
        push(todo, elements(node.children()));
      } catch (RuntimeException broken) {
        complete = false;
      }
      return complete;
    }

    private static void push(List todo, Object[] values) {
      for (int i = values.length - 1; i >= 0; i--) todo.add(values[i]);
    }
  }

  private static int place(Object value, Object[] children) {
    for (int i = 0; i < children.length; i++) if (children[i] == value) return i;
    return -1;
  }

  /** Rows or bytes that a plan carries; only its head is looked at. */
  private static boolean isData(Object sequence) {
    scala.collection.Iterator all = ((scala.collection.Iterable) sequence).iterator();
    if (!all.hasNext()) return false;
    Object first = all.next();
    return first instanceof InternalRow || first instanceof Byte;
  }

  private static Object[] elements(Object sequence) {
    scala.collection.Iterator all = sequence instanceof scala.collection.Iterator
        ? (scala.collection.Iterator) sequence : ((scala.collection.Iterable) sequence).iterator();
    ArrayList found = new ArrayList();
    while (all.hasNext()) found.add(all.next());
    return found.toArray();
  }

  /** The constructor parameters' values: those of the first list, and what the node copies besides. */
  private static Object[] parameters(TreeNode node) {
    Object[] first = elements(((scala.Product) node).productIterator());
    Object[] more = elements(call(node, "otherCopyArgs"));
    if (more.length == 0) return first;
    Object[] all = new Object[first.length + more.length];
    System.arraycopy(first, 0, all, 0, first.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return all;
  }

  /** The constructor parameters' names, looked up once for a class; numbers where nobody can tell. */
  private static String[] names(Object node, int count) {
    if (count == 0) return new String[0];
    Class kind = node.getClass();
    synchronized (NAMES) {
      String[] names = (String[]) NAMES.get(kind);
      if (names == null || names.length < count) {
        Object[] found = recordedNames(kind, ((scala.Product) node).productArity());
        try {
          if (found == null) {
            found = elements(org.apache.spark.sql.catalyst.ScalaReflection$.MODULE$.getConstructorParameterNames(kind));
          }
        } catch (Throwable unknown) {
          found = new Object[0];
        }
        names = new String[Math.max(count, found.length)];
        for (int i = 0; i < names.length; i++) {
          names[i] = i < found.length ? String.valueOf(found[i]) : "_" + (i + 1);
        }
        NAMES.put(kind, names);
      }
      return names;
    }
  }

  /**
   * The names as scalac records them in the class file, of the one constructor whose first parameters are the fields;
   * null where they are not there. Scala's own reflection takes seconds of processor time when it is first asked, which
   * is more than the first query of a driver may cost.
   */
  private static Object[] recordedNames(Class kind, int arity) {
    Object[] found = null;
    try {
      Constructor[] all = kind.getDeclaredConstructors();
      for (int i = 0; i < all.length; i++) {
        Parameter[] parameters = all[i].getParameters();
        if (parameters.length < arity || !holds(kind, parameters, arity)) continue;
        if (found != null) return null;
        found = new Object[parameters.length];
        for (int j = 0; j < parameters.length; j++) found[j] = parameters[j].getName();
      }
    } catch (Throwable unreadable) {
      return null;
    }
    return found;
  }

  private static boolean holds(Class kind, Parameter[] parameters, int arity) {
    for (int i = 0; i < parameters.length; i++) {
      if (!parameters[i].isNamePresent()) return false;
      if (i >= arity) continue;
      try {
        if (kind.getDeclaredField(parameters[i].getName()).getType() != parameters[i].getType()) return false;
      } catch (NoSuchFieldException another) {
        return false;
      }
    }
    return true;
  }

  /** Nanoseconds of work: this thread's processor time, elapsed time where the JVM can't tell. */
  private static long spent() {
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    long work = threads.isCurrentThreadCpuTimeSupported() ? threads.getCurrentThreadCpuTime() : -1L;
    return work < 0 ? System.nanoTime() : work;
  }

  private static Object call(Object target, String name) {
    try {
      Method method = target.getClass().getMethod(name, new Class[0]);
      method.setAccessible(true);
      return method.invoke(target, new Object[0]);
    } catch (Exception absent) {
      return scala.collection.Seq$.MODULE$.empty();
    }
  }

  private static void string(StringBuilder text, String value, int most) {
    int length = Math.min(value.length(), most);
    text.append('"');
    for (int i = 0; i < length; i++) {
      char one = value.charAt(i);
      if (one == '"' || one == '\\') text.append('\\').append(one);
      else if (one < 32 || one > 126) text.append("\\u").append(Integer.toHexString(one | 0x10000).substring(1));
      else text.append(one);
    }
    if (value.length() > most) text.append("\\u2026");
    text.append('"');
  }
}
