# Sidekiq's Web UI shows what Forebay does.
module Screens
  def self.judge(report, stage)
    ui = Ui.new
    worker = stage.forebay(queues: ["slow=2", "other=1"], concurrency: 7)
    running = stage.jobs("push", "Waits", '"<b>"', "--queue", "slow")
    stage.jobs("push", "Plain", "--queue", "unserved")
    stage.jobs("push", "Plain", '"later"', "--queue", "other", "--in", "1h")
    fails = stage.jobs("push", "Fails", '"tries"', "--queue", "other")
    dies = stage.jobs("push", "Fails", '"dies"', "--queue", "other", "--retry", "0")
    wait_until("it is seen to run") { Sidekiq::Workers.new.any? { |_, _, work| work["payload"]["jid"] == running } }
    # With the beat: what ran before it is counted.
    wait_until("the failures are counted") { Sidekiq::Stats.new.failed == 2 }

    busy = ui.page("/busy")
    shown = ["#{worker.identity.split(":").first}:#{worker.pid}", ">forebay</span>", "slow, other", "<td>7</td>", "<td>1</td>", running, "Waits", "&quot;&lt;b&gt;&quot;"]
    report.equal("/busy shows our process and what it runs", [], shown.reject { |it| busy.include?(it) })
    report.holds("with its memory and when it began", busy =~ /MB|KB/ && busy.include?(%(datetime="#{Time.now.utc.strftime("%Y-%m-%dT")})), "both", busy[/<tbody>.*/m].to_s)
    queues = ui.page("/queues")
    report.holds("/queues shows queues and depths", queues =~ %r{queues/unserved">unserved</a>.*?<td>1\s*</td>}m, "unserved 1", queues[/<table.*table>/m].to_s)
    latency = Sidekiq::Queue.new("unserved").latency
    report.holds("with their latency", (0..60).cover?(latency) && queues =~ %r{<td>[\d,]{1,4}(\.\d+)?</td>|<td>\s*\d}m, "0 to 60 s", latency)
    report.holds("a queue shows its jobs", ui.page("/queues/unserved").include?("Plain"), "Plain", "not there")
    { "/retries" => [fails, "it fails over HTTP"], "/morgue" => [dies, "it fails over HTTP"], "/scheduled" => ["later"] }.each do |path, words|
      page = ui.page(path)
      report.equal("#{path} shows what lies there", [], words.reject { |it| page.include?(it) })
      key = page[/name='key\[\]' value='([^']+)'/, 1] || page[/href="#{path}\/([^"]+)"/, 1]
      report.holds("#{path} shows one of them", ui.page("#{path}/#{key}").include?("created_at").!&(key) && ui.page("#{path}/#{key}").include?(key[/[0-9a-f]{24}/]), "its page", key)
    end
    stats = JSON.parse(ui.page("/stats"))["sidekiq"]
    report.equal("/stats counts", {"processed" => 2, "failed" => 2, "busy" => 1, "processes" => 1, "enqueued" => 1, "scheduled" => 1, "retries" => 1, "dead" => 1},
      stats.except("default_latency"))
    report.holds("the dashboard shows the day", ui.page("/").include?(%(data-processed="{&quot;#{Time.now.utc.strftime("%Y-%m-%d")}&quot;:2)) || ui.page("/").include?("#{Time.now.utc.strftime("%Y-%m-%d")}"), "today", ui.page("/")[/history.{0,400}/m].to_s)
    report.equal("without a token nothing is done", "403", ui.press_without_token("/busy"))
    # For eyes: REFEREE_SHOW=1 leaves it standing.
    unless ENV["REFEREE_SHOW"].to_s.empty?
      puts "look at #{ui.url}/busy"
      wait_until("somebody has looked", 200) { File.exist?("#{stage.work}/looked") }
    end
    stage.let_go
    report.equal("the worker stops in order", 0, worker.stop)
    report.equal("and is gone from /busy", false, ui.page("/busy").include?(worker.identity))
  end
end
