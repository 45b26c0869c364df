// Commands of open-source Delta.
package org.apache.spark.sql.delta.commands

import org.apache.hadoop.fs.Path
import org.apache.spark.sql.{Row, SparkSession}
import org.apache.spark.sql.SaveMode
import org.apache.spark.sql.catalyst.TableIdentifier
import org.apache.spark.sql.catalyst.analysis.NamedRelation
import org.apache.spark.sql.catalyst.catalog.CatalogTable
import org.apache.spark.sql.catalyst.expressions.{Attribute, Expression}
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.delta.catalog.DeltaTableV2
import org.apache.spark.sql.delta.files.TahoeLogFileIndex
import org.apache.spark.sql.types.StructType

case class MergeIntoCommand(
    source: LogicalPlan, target: LogicalPlan, catalogTable: Option[CatalogTable], targetFileIndex: TahoeLogFileIndex,
    condition: Expression, matchedClauses: Seq[DeltaMergeIntoMatchedClause],
    notMatchedClauses: Seq[DeltaMergeIntoNotMatchedClause],
    notMatchedBySourceClauses: Seq[DeltaMergeIntoNotMatchedBySourceClause], migratedSchema: Option[StructType])
  extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

case class UpdateCommand(
    tahoeFileIndex: TahoeLogFileIndex, catalogTable: Option[CatalogTable], target: LogicalPlan,
    updateExpressions: Seq[Expression], condition: Option[Expression]) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

case class DeleteCommand(
    deltaLog: AnyRef, catalogTable: Option[CatalogTable], target: LogicalPlan, condition: Option[Expression])
  extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

object TableCreationModes {
  sealed trait CreationMode
  case object Create extends CreationMode
  case object CreateOrReplace extends CreationMode
  case object Replace extends CreationMode
}

case class CreateDeltaTableCommand(
    table: CatalogTable, existingTableOpt: Option[CatalogTable], mode: SaveMode, query: Option[LogicalPlan],
    operation: TableCreationModes.CreationMode, tableByPath: Boolean) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

/** Delta's own is a V2WriteCommand, whose query is a child. */
case class DeltaDynamicPartitionOverwriteCommand(
    table: NamedRelation, deltaTable: DeltaTableV2, query: LogicalPlan, writeOptions: Map[String, String],
    isByName: Boolean) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

case class DeltaInsertReplaceOnOrUsingCommand(
    deltaTable: DeltaTableV2, query: LogicalPlan, writeCmd: AnyRef, insertReplaceCriteriaOpt: Option[AnyRef],
    byName: Boolean) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

trait CloneSource {
  def name: String
  def dataPath: Path
  def catalogTable: Option[CatalogTable]
}
case class CloneDeltaSource(sourceTable: DeltaTableV2) extends CloneSource {
  override def name: String = sourceTable.name()
  override def dataPath: Path = sourceTable.path
  override def catalogTable: Option[CatalogTable] = sourceTable.catalogTable
}
case class CloneParquetSource(tableIdentifier: TableIdentifier, dataPath: Path, catalogTable: Option[CatalogTable])
  extends CloneSource {
  override def name: String = tableIdentifier.unquotedString
}

case class CloneTableCommand(
    sourceTable: CloneSource, targetIdent: TableIdentifier, tablePropertyOverrides: Map[String, String],
    targetPath: Path) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

case class RestoreTableCommand(sourceTable: DeltaTableV2) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

case class ConvertToDeltaCommand(
    tableIdentifier: TableIdentifier, partitionSchema: Option[StructType], collectStats: Boolean,
    deltaPath: Option[String]) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

/** Compacts: a job of its own inside the command, as the real one has. */
case class OptimizeTableCommand(child: LogicalPlan, userPartitionPredicates: Seq[String]) extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = {
    doubles.Run(session.asInstanceOf[@SESSION@], child).collect()
    Nil
  }
}

case class VacuumTableCommand(child: LogicalPlan, horizonHours: Option[Double], dryRun: Boolean)
  extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}

case class AlterTableSetPropertiesDeltaCommand(table: DeltaTableV2, configuration: Map[String, String])
  extends @LEAF_COMMAND@ {
  override def run(session: SparkSession): Seq[Row] = Nil
}
