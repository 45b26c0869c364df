// Commands of Databricks' Delta.
package com.databricks.sql.transaction.tahoe.commands {
  import org.apache.spark.sql.{Row, SparkSession}
  import org.apache.spark.sql.catalyst.expressions.Expression
  import org.apache.spark.sql.catalyst.plans.logical._
  import org.apache.spark.sql.types.StructType
  import com.databricks.sql.transaction.tahoe.files.TahoeLogFileIndexEdge

  case class MergeIntoCommandEdge(
      source: LogicalPlan, target: LogicalPlan, condition: Expression,
      matchedClauses: Seq[DeltaMergeIntoMatchedClause], notMatchedClauses: Seq[DeltaMergeIntoNotMatchedClause],
      notMatchedBySourceClauses: Seq[DeltaMergeIntoNotMatchedBySourceClause], migratedSchema: Option[StructType])
    extends @LEAF_COMMAND@ {
    override def run(session: SparkSession): Seq[Row] = Nil
  }

  case class UpdateCommandEdge(
      tahoeFileIndex: TahoeLogFileIndexEdge, target: LogicalPlan, updateExpressions: Seq[Expression],
      condition: Option[Expression]) extends @LEAF_COMMAND@ with SupportsSubquery {
    override def run(session: SparkSession): Seq[Row] = Nil
  }

  case class DeleteCommandEdge(
      tahoeFileIndex: TahoeLogFileIndexEdge, target: LogicalPlan, condition: Option[Expression])
    extends @LEAF_COMMAND@ with SupportsSubquery {
    override def run(session: SparkSession): Seq[Row] = Nil
  }

  case class WriteIntoDeltaCommand(
      query: LogicalPlan, outputColumnNames: Seq[String], outputSpec: AnyRef, deltaLog: AnyRef, metadata: AnyRef)
    extends @LEAF_COMMAND@ {
    override def run(session: SparkSession): Seq[Row] = Nil
  }

  /** Not a case class and with members of its own making: Spark's `toJSON` throws on it. */
  class MergeIntoCommand(
      val source: LogicalPlan, val target: LogicalPlan, val condition: Expression,
      val matchedClauses: Seq[DeltaMergeIntoMatchedClause], val notMatchedClauses: Seq[DeltaMergeIntoNotMatchedClause],
      val notMatchedBySourceClauses: Seq[DeltaMergeIntoNotMatchedBySourceClause])
    extends @LEAF_COMMAND@ {
    override def run(session: SparkSession): Seq[Row] = Nil
    override def clone(): LogicalPlan = this
    override def productArity: Int = 0
    override def productElement(n: Int): Any = throw new IndexOutOfBoundsException
    override def canEqual(that: Any): Boolean = that.isInstanceOf[MergeIntoCommand]
  }
}

package com.databricks.sql.transaction.tahoe.commands.copy {
  import org.apache.spark.sql.{Row, SparkSession}
  import org.apache.spark.sql.catalyst.analysis.NamedRelation
  import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

  case class CopyIntoCommandEdge(
      txn: AnyRef, source: String, sourceData: LogicalPlan, targetDeltaRelation: NamedRelation,
      formatOptions: Map[String, String], copyOptions: Map[String, String]) extends @LEAF_COMMAND@ {
    override def run(session: SparkSession): Seq[Row] = Nil
  }
}
