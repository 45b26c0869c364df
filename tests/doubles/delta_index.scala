// Delta's file index and table, open source and Databricks: whatever would read the Delta log throws.
package doubles {
  import org.apache.hadoop.fs.Path
  import org.apache.spark.sql.catalyst.InternalRow
  import org.apache.spark.sql.catalyst.expressions.Expression
  import org.apache.spark.sql.execution.datasources.{FileIndex, PartitionDirectory}
  import org.apache.spark.sql.types.StructType

  class Forbidden(what: String) extends RuntimeException(s"$what must never be asked on the capture path")

  abstract class DeltaFileIndex(val path: Path, override val partitionSchema: StructType) extends FileIndex {
    override def rootPaths: Seq[Path] = path :: Nil
    override def listFiles(a: Seq[Expression], b: Seq[Expression]): Seq[PartitionDirectory] = throw new Forbidden("listFiles")
    override def inputFiles: Array[String] = throw new Forbidden("inputFiles")
    override def refresh(): Unit = throw new Forbidden("refresh")
    override def sizeInBytes: Long = throw new Forbidden("sizeInBytes")
    def deltaLog: AnyRef = throw new Forbidden("deltaLog")
    def getSnapshot: AnyRef = throw new Forbidden("getSnapshot")
  }

  object DeltaTable {
    import java.util
    import org.apache.spark.sql.catalyst.catalog.CatalogTable
    import org.apache.spark.sql.connector.catalog.{SupportsWrite, TableCapability}
    import org.apache.spark.sql.connector.write._
    import org.apache.spark.sql.sources.InsertableRelation
    import org.apache.spark.sql.{DataFrame, SaveMode}

    /** Writes Parquet where Delta commits; like Delta's, a write inside the command's own execution. */
    abstract class Base(path: Path, catalogTable: Option[CatalogTable], tableSchema: StructType) extends SupportsWrite {
      override def name(): String = catalogTable.map(_.identifier.unquotedString).getOrElse(s"delta.`$path`")
      override def schema(): StructType = tableSchema
      override def properties(): util.Map[String, String] = throw new Forbidden("properties")
      def deltaLog: AnyRef = throw new Forbidden("deltaLog")
      def snapshot: AnyRef = throw new Forbidden("snapshot")
      override def capabilities(): util.Set[TableCapability] = util.EnumSet.of(
        TableCapability.V1_BATCH_WRITE, TableCapability.TRUNCATE, TableCapability.OVERWRITE_BY_FILTER,
        TableCapability.BATCH_READ)
      override def newWriteBuilder(info: LogicalWriteInfo): WriteBuilder = new @V1_BUILDER@ with SupportsTruncate {
        override def truncate(): WriteBuilder = this
        override def @V1_BUILD@ new InsertableRelation {
          override def insert(data: DataFrame, overwrite: Boolean): Unit =
            data.write.mode(SaveMode.Append).parquet(path.toString)
        }
      }
    }
  }
}

package org.apache.spark.sql.delta.files {
  import org.apache.hadoop.fs.Path
  import org.apache.spark.sql.types.StructType
  class TahoeLogFileIndex(path: Path, partitions: StructType) extends doubles.DeltaFileIndex(path, partitions)
}

package com.databricks.sql.transaction.tahoe.files {
  import org.apache.hadoop.fs.Path
  import org.apache.spark.sql.types.StructType
  class TahoeLogFileIndexEdge(path: Path, partitions: StructType) extends doubles.DeltaFileIndex(path, partitions)
}

package org.apache.spark.sql.delta.catalog {
  import org.apache.hadoop.fs.Path
  import org.apache.spark.sql.catalyst.catalog.CatalogTable
  import org.apache.spark.sql.types.StructType
  case class DeltaTableV2(path: Path, catalogTable: Option[CatalogTable], tableSchema: StructType)
    extends doubles.DeltaTable.Base(path, catalogTable, tableSchema)
}

package com.databricks.sql.transaction.tahoe.catalog {
  import org.apache.hadoop.fs.Path
  import org.apache.spark.sql.catalyst.catalog.CatalogTable
  import org.apache.spark.sql.types.StructType
  case class DeltaTableV2(path: Path, catalogTable: Option[CatalogTable], tableSchema: StructType)
    extends doubles.DeltaTable.Base(path, catalogTable, tableSchema)
}
