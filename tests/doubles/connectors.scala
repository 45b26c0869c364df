// Stand-ins for connectors that can't be had here. Class names, packages and members are the documented ones (the
// connectors' public sources, OpenLineage's Spark agent); they read and keep no data. What is real: all of Spark
// around them, which resolves, plans and runs them.

package adb.doubles {

  import org.apache.spark.rdd.RDD
  import org.apache.spark.sql.{DataFrame, Row, SQLContext, SaveMode}
  import org.apache.spark.sql.sources.{BaseRelation, CreatableRelationProvider, RelationProvider, TableScan}
  import org.apache.spark.sql.types.{LongType, StringType, StructField, StructType}

  object Rows {
    val schema: StructType = StructType(Seq(StructField("id", LongType), StructField("name", StringType)))
  }

  abstract class Relation(context: SQLContext) extends BaseRelation with TableScan {
    override def sqlContext: SQLContext = context
    override def schema: StructType = Rows.schema
    override def buildScan(): RDD[Row] = context.sparkSession.sparkContext.emptyRDD[Row]
  }

  /** A V1 provider whose writes take the rows, stage them where the options say so, and forget them. */
  abstract class Provider extends RelationProvider with CreatableRelationProvider {
    override def createRelation(context: SQLContext, mode: SaveMode, options: Map[String, String],
        data: DataFrame): BaseRelation = {
      val lower = options.map(one => one._1.toLowerCase(java.util.Locale.ROOT) -> one._2)
      lower.get("tempdir") match {
        case Some(folder) => data.write.mode("overwrite").parquet(folder + "/staged")
        case None => data.foreach((_: Row) => ())
      }
      createRelation(context, options)
    }
  }
}

package com.databricks.spark.sqldw {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.sql.SQLContext

  case class MergedParameters(parameters: Map[String, String]) {
    private val lower = parameters.map(one => one._1.toLowerCase(java.util.Locale.ROOT) -> one._2)
    def jdbcUrl: String = lower("url")
    def source: String = lower.get("dbtable").orElse(lower.get("query").map(one => s"($one) q")).get
  }

  class SqlDWRelation(val params: MergedParameters, tableNameOrSubquery: String, context: SQLContext)
      extends Relation(context) {
    override def toString: String = s"SqlDWRelation($tableNameOrSubquery)"
  }

  class DefaultSource extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): SqlDWRelation = {
      val params = MergedParameters(options)
      new SqlDWRelation(params, params.source, context)
    }
  }
}

package com.microsoft.kusto.spark.datasource {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.sql.SQLContext

  case class KustoCoordinates(clusterUrl: String, clusterAlias: String, database: String, table: Option[String])

  case class KustoRelation(kustoCoordinates: KustoCoordinates, query: String)(context: SQLContext)
      extends Relation(context)

  class DefaultSource extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): KustoRelation = {
      val lower = options.map(one => one._1.toLowerCase(java.util.Locale.ROOT) -> one._2)
      val alias = lower("kustocluster")
      val place = KustoCoordinates(s"https://$alias.kusto.windows.net", alias, lower("kustodatabase"), lower.get("kustotable"))
      KustoRelation(place, lower.getOrElse("kustoquery", lower.getOrElse("kustotable", "")))(context)
    }
  }
}

package net.snowflake.spark.snowflake {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.sql.SQLContext

  case class MergedParameters(parameters: Map[String, String])

  case class SnowflakeRelation(params: MergedParameters)(context: SQLContext) extends Relation(context)

  class DefaultSource extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): SnowflakeRelation =
      SnowflakeRelation(MergedParameters(options.map(one => one._1.toLowerCase(java.util.Locale.ROOT) -> one._2)))(context)
  }
}

package com.databricks.spark.redshift {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.sql.SQLContext

  case class MergedParameters(parameters: Map[String, String])

  case class RedshiftRelation(params: MergedParameters)(context: SQLContext) extends Relation(context)

  class DefaultSource extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): RedshiftRelation =
      RedshiftRelation(MergedParameters(options.map(one => one._1.toLowerCase(java.util.Locale.ROOT) -> one._2)))(context)
  }
}

package com.google.cloud.spark.bigquery {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.sql.SQLContext

  class TableId(project: String, dataset: String, table: String) {
    def getProject: String = project
    def getDataset: String = dataset
    def getTable: String = table
  }

  class BigQueryRelation(val tableId: TableId, context: SQLContext) extends Relation(context)

  class DefaultSource extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): BigQueryRelation = {
      val Array(project, dataset, table) = options.getOrElse("table", options.getOrElse("path", "")).split("[.:]")
      new BigQueryRelation(new TableId(project, dataset, table), context)
    }
  }
}

package org.elasticsearch.spark.sql {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.sql.SQLContext

  case class ElasticsearchRelation(parameters: Map[String, String], context: SQLContext) extends Relation(context)

  class DefaultSource extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): ElasticsearchRelation =
      ElasticsearchRelation(options.map(one => (if (one._1 == "path") "es.resource" else one._1) -> one._2), context)
  }
}

package org.apache.spark.eventhubs {

  class EventHubsConf(connectionString: String) {
    private def part(name: String): String =
      connectionString.split(";").map(_.split("=", 2)).collectFirst { case Array(`name`, value) => value }.get
    def namespaceUri: String = part("Endpoint")
    def name: String = part("EntityPath")
  }
}

package org.apache.spark.sql.eventhubs {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.eventhubs.EventHubsConf
  import org.apache.spark.sql.SQLContext

  private[eventhubs] class EventHubsRelation(context: SQLContext, options: Map[String, String])
      extends Relation(context) {
    private val ehConf = new EventHubsConf(options("eventhubs.connectionString"))
    override def toString: String = ehConf.name
  }

  class EventHubsSourceProvider extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): EventHubsRelation =
      new EventHubsRelation(context, options)
  }
}

package org.example.unheard {

  import adb.doubles.{Provider, Relation}
  import org.apache.spark.sql.SQLContext

  class MysteryRelation(context: SQLContext) extends Relation(context)

  class DefaultSource extends Provider {
    override def createRelation(context: SQLContext, options: Map[String, String]): MysteryRelation =
      new MysteryRelation(context)
  }
}

package io.delta.sharing.spark {

  import adb.doubles.Rows
  import org.apache.hadoop.fs.Path
  import org.apache.spark.sql.{SQLContext, SparkSession}
  import org.apache.spark.sql.catalyst.expressions.Expression
  import org.apache.spark.sql.execution.datasources.{FileIndex, HadoopFsRelation, PartitionDirectory}
  import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat
  import org.apache.spark.sql.sources.{BaseRelation, RelationProvider}
  import org.apache.spark.sql.types.StructType

  case class DeltaSharingProfile(endpoint: String, bearerToken: String)

  class DeltaSharingProfileProvider(profile: DeltaSharingProfile) {
    def getProfile: DeltaSharingProfile = profile
  }

  case class RemoteDeltaFileIndexParams(path: Path, profileProvider: DeltaSharingProfileProvider)

  case class RemoteDeltaSnapshotFileIndex(params: RemoteDeltaFileIndexParams) extends FileIndex {
    override def rootPaths: Seq[Path] = params.path :: Nil
    override def listFiles(partitions: Seq[Expression], data: Seq[Expression]): Seq[PartitionDirectory] = Nil
    override def inputFiles: Array[String] = Array.empty
    override def refresh(): Unit = ()
    override def sizeInBytes: Long = 0L
    override def partitionSchema: StructType = new StructType()
  }

  class DeltaSharingDataSource extends RelationProvider {
    override def createRelation(context: SQLContext, options: Map[String, String]): BaseRelation = {
      val profile = new DeltaSharingProfileProvider(DeltaSharingProfile("https://share.example.net/delta-sharing/", "t"))
      val index = RemoteDeltaSnapshotFileIndex(RemoteDeltaFileIndexParams(new Path(options("path")), profile))
      HadoopFsRelation(index, new StructType(), Rows.schema, None, new ParquetFileFormat(), options)(
        context.sparkSession.asInstanceOf[@SESSION@])
    }
  }
}
