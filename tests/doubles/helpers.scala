// What cases call over Py4J to make plans and to run them.
package doubles {
  import org.apache.spark.sql.catalyst.analysis.NoSuchTableException
  import org.apache.spark.sql.connector.catalog.Identifier
  object NoTable {
    def apply(ident: Identifier): Throwable = new NoSuchTableException(ident)
  }
}

package org.apache.spark.sql {
  import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
  /** `Dataset.ofRows` is Spark's own; this package may call it. */
  object DoublesAccess {
    def frame(session: @SESSION@, plan: LogicalPlan): DataFrame = @DATASET@.ofRows(session, plan)
  }
}

package doubles {
  import scala.collection.JavaConverters._
  import org.apache.hadoop.fs.Path
  import org.apache.spark.sql.{DataFrame, DoublesAccess}
  import org.apache.spark.sql.catalyst.catalog.CatalogTable
  import org.apache.spark.sql.catalyst.expressions.{Alias, Expression}
  import org.apache.spark.sql.catalyst.plans.logical._
  import org.apache.spark.sql.execution.datasources.{FileIndex, HadoopFsRelation, LogicalRelation}
  import org.apache.spark.sql.types.StructType

  object Run {
    def apply(session: @SESSION@, plan: LogicalPlan): DataFrame = DoublesAccess.frame(session, plan)
  }

  /** A command built from SQL text: `from` is the FROM clause, whose tables become Delta's. */
  class Build(session: @SESSION@, edge: Boolean) {
    private def index(path: Path, columns: StructType): FileIndex =
      if (edge) new com.databricks.sql.transaction.tahoe.files.TahoeLogFileIndexEdge(path, columns)
      else new org.apache.spark.sql.delta.files.TahoeLogFileIndex(path, columns)

    /** Parquet tables as Delta would have them: the same relation on a Delta index. */
    def delta(plan: LogicalPlan): LogicalPlan = plan.transform {
      case relation: LogicalRelation => relation.relation match {
        case files: HadoopFsRelation =>
          relation.copy(relation =
            files.copy(location = index(files.location.rootPaths.head, files.partitionSchema))(files.sparkSession))
        case _ => relation
      }
    }

    def plan(query: String): LogicalPlan = session.sql(query).queryExecution.analyzed

    /** The plan of a FROM clause, and expressions over it. */
    private def resolved(from: String, texts: Seq[String]): (LogicalPlan, Seq[Expression]) = {
      val columns = texts.zipWithIndex.map { case (text, at) => s"$text as x$at" }.mkString(", ")
      val project = plan(s"select $columns from $from").asInstanceOf[Project]
      (project.child, project.projectList.map { case Alias(value, _) => value; case other => other })
    }

    /** Each clause is `kind | condition | column = expression ; …`; kinds: update, delete, insert, orphan-update, orphan-delete. */
    def merge(target: String, source: String, on: String, clauses: java.util.List[String], json: Boolean): LogicalPlan = {
      val parsed = clauses.asScala.toSeq.map(_.split('|').map(_.trim))
      def assignments(text: String): Seq[(String, String)] = text.split(';').toSeq.map(_.trim).filter(_.nonEmpty).map { one =>
        val Array(column, value) = one.split("=", 2)
        (column.trim, value.trim)
      }
      val texts = parsed.flatMap(one => one(1) +: assignments(one.lift(2).getOrElse("")).map(_._2))
      val (child, expressions) = resolved(s"$target join $source on $on", texts.map(text => if (text.isEmpty) "true" else text))
      val join = child.asInstanceOf[Join]
      val values = expressions.iterator
      var matched = Seq.empty[DeltaMergeIntoMatchedClause]
      var inserts = Seq.empty[DeltaMergeIntoNotMatchedClause]
      var orphans = Seq.empty[DeltaMergeIntoNotMatchedBySourceClause]
      parsed.foreach { one =>
        val first = values.next()
        val condition = if (one(1).isEmpty) None else Some(first)
        val actions = assignments(one.lift(2).getOrElse("")).map { case (column, _) =>
          DeltaMergeAction(column.split('.').toSeq, values.next())
        }
        one(0) match {
          case "update" => matched :+= DeltaMergeIntoMatchedUpdateClause(condition, actions)
          case "delete" => matched :+= DeltaMergeIntoMatchedDeleteClause(condition)
          case "insert" => inserts :+= DeltaMergeIntoNotMatchedInsertClause(condition, actions)
          case "orphan-update" => orphans :+= DeltaMergeIntoNotMatchedBySourceUpdateClause(condition, actions)
          case "orphan-delete" => orphans :+= DeltaMergeIntoNotMatchedBySourceDeleteClause(condition)
        }
      }
      val (left, right) = (delta(join.left), delta(join.right))
      if (!json) new com.databricks.sql.transaction.tahoe.commands.MergeIntoCommand(
        right, left, join.condition.get, matched, inserts, orphans)
      else if (edge) com.databricks.sql.transaction.tahoe.commands.MergeIntoCommandEdge(
        right, left, join.condition.get, matched, inserts, orphans, None)
      else org.apache.spark.sql.delta.commands.MergeIntoCommand(
        right, left, None, null, join.condition.get, matched, inserts, orphans, None)
    }

    /** `assignments` has a text for each column of the target, in its order. */
    def update(target: String, assignments: java.util.List[String], where: String): LogicalPlan = {
      val (child, expressions) = resolved(target, assignments.asScala.toSeq)
      val condition = filter(target, where)
      val plan = condition.map(_._1).getOrElse(child)
      val values = if (condition.isEmpty) expressions else rebound(child, plan, expressions)
      if (edge) com.databricks.sql.transaction.tahoe.commands.UpdateCommandEdge(null, delta(plan), values, condition.map(_._2))
      else org.apache.spark.sql.delta.commands.UpdateCommand(null, None, delta(plan), values, condition.map(_._2))
    }

    def delete(target: String, where: String): LogicalPlan = {
      val condition = filter(target, where)
      val plan = condition.map(_._1).getOrElse(this.plan(s"select * from $target").asInstanceOf[Project].child)
      if (edge) com.databricks.sql.transaction.tahoe.commands.DeleteCommandEdge(null, delta(plan), condition.map(_._2))
      else org.apache.spark.sql.delta.commands.DeleteCommand(null, None, delta(plan), condition.map(_._2))
    }

    private def filter(target: String, where: String): Option[(LogicalPlan, Expression)] =
      if (where.isEmpty) None
      else plan(s"select * from $target where $where").collectFirst { case Filter(condition, child) => (child, condition) }

    /** Expressions over one reading of a table, over another reading of it. */
    private def rebound(from: LogicalPlan, to: LogicalPlan, expressions: Seq[Expression]): Seq[Expression] = {
      val ids = from.output.zip(to.output).map { case (one, other) => one.exprId -> other }.toMap
      expressions.map(_.transform {
        case one: org.apache.spark.sql.catalyst.expressions.AttributeReference => ids.getOrElse(one.exprId, one)
      })
    }

    def table(name: String): CatalogTable = plan(s"select * from $name").collectFirst {
      case relation: LogicalRelation => relation.catalogTable.get
    }.get

    def tableV2(name: String): org.apache.spark.sql.delta.catalog.DeltaTableV2 = {
      val found = table(name)
      org.apache.spark.sql.delta.catalog.DeltaTableV2(new Path(found.location), Some(found), found.schema)
    }

    /** The change data feed of a table, as `spark.read.option("readChangeFeed", true)` gives it by name or by path. */
    def changes(name: String, byPath: Boolean): DataFrame = {
      import org.apache.spark.sql.delta.commands.cdc._
      val read = table(name)
      val log = new DeltaLog(new Path(read.location))
      val relation = CDCReader.DeltaCDFRelation(
        CDCReader.SnapshotWithSchemaMode(new Snapshot(log), null), session.sqlContext, Some(0L), None)(read.schema)
      val found = session.baseRelationToDataFrame(relation).queryExecution.analyzed
      Run(session, if (byPath) found else found.transform {
        case one: LogicalRelation => one.copy(catalogTable = Some(read))
      })
    }

    def run(plan: LogicalPlan): Unit = Run(session, plan).collect()
  }
}
