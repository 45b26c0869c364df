// The change data feed of a Delta table: `readChangeFeed`, `table_changes`.
package org.apache.spark.sql.delta.commands.cdc

import org.apache.hadoop.fs.Path
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Row, SQLContext}
import org.apache.spark.sql.sources.{BaseRelation, Filter, PrunedFilteredScan}
import org.apache.spark.sql.types.{LongType, StringType, StructType, TimestampType}

class DeltaLog(val dataPath: Path) {
  def snapshot: AnyRef = throw new doubles.Forbidden("snapshot")
  def update(): AnyRef = throw new doubles.Forbidden("update")
}
class Snapshot(val deltaLog: DeltaLog) {
  def metadata: AnyRef = throw new doubles.Forbidden("metadata")
}

object CDCReader {
  case class SnapshotWithSchemaMode(snapshot: Snapshot, schemaMode: AnyRef)

  case class DeltaCDFRelation(
      snapshotWithSchemaMode: SnapshotWithSchemaMode, sqlContext: SQLContext, startingVersion: Option[Long],
      endingVersion: Option[Long])(columns: StructType) extends BaseRelation with PrunedFilteredScan {
    override val schema: StructType = columns.add("_change_type", StringType).add("_commit_version", LongType)
      .add("_commit_timestamp", TimestampType)
    override def sizeInBytes: Long = throw new doubles.Forbidden("sizeInBytes")
    override def buildScan(names: Array[String], filters: Array[Filter]): RDD[Row] = sqlContext.sparkContext.emptyRDD[Row]
  }
}
