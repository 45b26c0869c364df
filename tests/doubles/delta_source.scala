// `format("delta")` on a path.
package org.apache.spark.sql.delta.sources

import org.apache.spark.sql.{DataFrame, SQLContext, SaveMode}
import org.apache.spark.sql.sources.{BaseRelation, CreatableRelationProvider}
import org.apache.spark.sql.types.StructType

class DeltaDataSource extends CreatableRelationProvider {
  override def createRelation(
      context: SQLContext, mode: SaveMode, options: Map[String, String], data: DataFrame): BaseRelation = {
    data.write.mode(SaveMode.Append).parquet(options("path"))
    new BaseRelation {
      override def sqlContext: SQLContext = context
      override def schema: StructType = data.schema
    }
  }
}
