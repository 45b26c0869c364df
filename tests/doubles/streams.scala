// Stand-ins for V1 streaming sources and sinks: Auto Loader, Event Hubs.

package org.apache.spark.sql.adbdoubles {

  import adb.doubles.Rows
  import org.apache.spark.sql.{DataFrame, SQLContext}
  import org.apache.spark.sql.catalyst.expressions.AttributeReference
  import org.apache.spark.sql.catalyst.plans.logical.LocalRelation
  import org.apache.spark.sql.execution.streaming.{Offset, Sink, Source}
  import org.apache.spark.sql.sources.{DataSourceRegister, StreamSinkProvider, StreamSourceProvider}
  import org.apache.spark.sql.streaming.OutputMode
  import org.apache.spark.sql.types.StructType

  case class Once() extends Offset {
    override def json(): String = "1"
  }

  /** One batch without rows. */
  class EmptySource(context: SQLContext) extends Source {
    override def schema: StructType = Rows.schema
    override def getOffset: Option[Offset] = Some(Once())
    override def getBatch(start: Option[Offset], end: Offset): DataFrame = {
      val output = schema.map(one => AttributeReference(one.name, one.dataType)())
      val names = Seq("org.apache.spark.sql.classic.Dataset$", "org.apache.spark.sql.Dataset$")
      val companion: Class[_] = names.iterator.map(one => scala.util.Try(Class.forName(one).asInstanceOf[Class[AnyRef]]))
        .collectFirst { case scala.util.Success(one) if one.getMethods.exists(_.getName == "ofRows") => one }.get
      val module = companion.getField("MODULE$").get(null)
      val method = companion.getMethods.find(one => one.getName == "ofRows" && one.getParameterCount == 2).get
      method.invoke(module, context.sparkSession, LocalRelation(output, Nil, isStreaming = true)).asInstanceOf[DataFrame]
    }
    override def stop(): Unit = ()
  }

  abstract class StreamProvider(short: String) extends StreamSourceProvider with StreamSinkProvider
      with DataSourceRegister {
    override def shortName(): String = short
    override def sourceSchema(context: SQLContext, schema: Option[StructType], name: String,
        options: Map[String, String]): (String, StructType) = (short, Rows.schema)
    override def createSource(context: SQLContext, metadata: String, schema: Option[StructType], name: String,
        options: Map[String, String]): Source = new EmptySource(context)
  }
}

package com.databricks.sql.fileNotification.autoIngest {

  import org.apache.spark.sql.SQLContext
  import org.apache.spark.sql.adbdoubles.StreamProvider
  import org.apache.spark.sql.execution.streaming.Sink
  import org.apache.spark.sql.streaming.OutputMode

  class CloudFilesSourceProvider extends StreamProvider("cloudFiles") {
    override def createSink(context: SQLContext, options: Map[String, String], partitions: Seq[String],
        mode: OutputMode): Sink = throw new UnsupportedOperationException
  }
}

package org.apache.spark.sql.eventhubs {

  import org.apache.spark.sql.{DataFrame, SQLContext}
  import org.apache.spark.sql.adbdoubles.StreamProvider
  import org.apache.spark.sql.execution.streaming.Sink
  import org.apache.spark.sql.streaming.OutputMode

  class EventHubsSink(context: SQLContext, parameters: Map[String, String]) extends Sink {
    override def addBatch(batch: Long, data: DataFrame): Unit = data.collect()
    override def toString: String = parameters.keys.mkString
  }

  class EventHubsStreamProvider extends StreamProvider("eventhubs") {
    override def createSink(context: SQLContext, options: Map[String, String], partitions: Seq[String],
        mode: OutputMode): Sink = new EventHubsSink(context, options)
  }
}
