// What a Scala notebook would hold.
package doubles

import org.apache.spark.sql.Encoders
import org.apache.spark.sql.api.java.UDF1

class Twice extends UDF1[java.lang.Long, java.lang.Long] {
  override def call(value: java.lang.Long): java.lang.Long = value * 2
}

class Upper extends org.apache.spark.api.java.function.MapFunction[String, String] {
  override def call(value: String): String = value.toUpperCase
}

class NotEmpty extends org.apache.spark.api.java.function.FilterFunction[String] {
  override def call(value: String): Boolean = value.nonEmpty
}

class Initial extends org.apache.spark.api.java.function.MapFunction[String, String] {
  override def call(value: String): String = value.take(1)
}

object Typed {
  def upper(session: @SESSION@, from: String, to: String): Unit =
    session.read.parquet(from).select("v").as(Encoders.STRING).map(new Upper, Encoders.STRING).write.parquet(to)

  def notEmpty(session: @SESSION@, from: String, to: String): Unit =
    session.read.parquet(from).select("v").as(Encoders.STRING).filter(new NotEmpty).write.parquet(to)

  def byInitial(session: @SESSION@, from: String, to: String): Unit =
    session.read.parquet(from).select("v").as(Encoders.STRING).groupByKey(new Initial, Encoders.STRING)
      .agg(org.apache.spark.sql.functions.max("v").as(Encoders.STRING)).write.json(to)
}

object Report {
  def saveAsReport(lines: org.apache.spark.api.java.JavaRDD[String]): Long = lines.count()
}
